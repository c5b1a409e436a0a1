// Package proof proves a record: the Merkle tree over its events, the signed checkpoints of the
// tree, the format of an export, and one verifier for all of them. It uses neither SQL nor files.
package proof
