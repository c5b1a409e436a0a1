// Package zypp reads what libzypp and the process table say about a commit: the history file, the
// process that runs libzypp and whoever started it, and the btrfs snapshot of a transactional
// update. Nothing here proves what happened to a package; only rpm can.
//
// The package is part of a program that starts in every commit, so it initializes nothing at start.
package zypp
