// Package proof proves a record: the Merkle tree over its events, the signed checkpoints of that,
// the form of an export, and one verifier for all of them. It knows neither SQL nor files.
package proof
