//! hemostat-monitor
