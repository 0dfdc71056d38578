//! hemostat-runtime
