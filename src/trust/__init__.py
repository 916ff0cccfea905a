"""Who may speak and what may run: certificates, members, bundle, approval, audit, revocation."""
