//! hemostat-query
