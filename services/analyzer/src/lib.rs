//! hemostat-analyzer
