"""An experiment as its report sees it: what was loaded, and functions of it."""
