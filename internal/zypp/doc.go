// Package zypp reads what libzypp and the process table say about a commit: the history file,
// the process that runs libzypp and whoever started it, and the btrfs snapshot of a
// transactional update. Nothing here is proof of what happened to a package; rpm has that.
//
// It is part of a program that starts in every commit: nothing is initialised at start.
package zypp
