//! Flow records: what the kernel's log says, with the rule that decided.
