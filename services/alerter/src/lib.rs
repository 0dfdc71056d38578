//! hemostat-alerter
