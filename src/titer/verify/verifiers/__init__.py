"""The verifiers, a file each; `titer.verify.table` says which there are."""
