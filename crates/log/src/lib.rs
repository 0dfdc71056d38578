//! hemostat-log
