// Package tree is the inode table, kept in Badger: which inode is which MEGA node, what is in each
// folder, by which name.
package tree
