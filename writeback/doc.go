// Package writeback is what stands between programs that write and a cloud
// that is slow, refuses, or is away. Every change is made at once in the tree
// (package tree) and in the staging (package staging), acknowledged to the
// program from there, and sent to MEGA later. What others changed comes back
// on the event stream and is merged into the same tree.
//
// # The journal is a state, not a log
//
// For each inode the tree holds two things: what is served here (its row) and
// what the cloud holds as far as we have heard (Inode.Cloud, the shadow). An
// inode that differs has Pending bits and one journal row; the journal says
// since when, why it was refused, what it replaces, and nothing of what must
// be sent, because that is computed from the difference at the moment when it
// is sent. So coalescing is nothing that is done, it just falls out: a file
// that was created and removed differs in nothing and its row goes; two
// renames are one difference; ten saves are one.
//
// # Generations
//
// A file's content is frozen before it is uploaded: a generation is a list of
// extents, a base, and a key and nonce of its own, which never meet another
// content. Writing goes on beside it. When MEGA has acknowledged the
// generation, the new version is the file's base and the frozen extents leave
// its map; what was written meanwhile stays, and the inode still differs.
//
// # Exactly once
//
// Commands go out in batches. Before a batch's first byte leaves, the batch
// and what each of its commands is for are one row of the database. The answer
// is applied in one transaction that removes that row. A batch without an
// answer, or one found at start, is never sent again: its fate is found by
// asking the server whether it still works for us, then the event stream
// whether anything is new; after that what the batch did is visible in the
// tree, and what isn't there is still a difference and is sent anew.
//
// Nodes are matched by their random keys, never by position or by name.
//
// # Echoes
//
// After an acknowledgement the shadow is what we sent, but packets that are
// older than our change may still be on their way. An echo row for the handle
// and field holds them off until our own packet has come.
//
// # Who runs
//
//	programs ──> Engine's methods ──> tree + journal rows   (one transaction)
//	                   │ bytes ──────> staging extents
//	committer          └─ every few seconds: extent maps of open files
//	planner    what changed or is due ──plan()──> uploads (workers) ──> ready commands
//	sender     ready commands ──> batch row ──> Execute ──> acknowledge
//	listener   event stream ──> tree, echo rows, SN
//
// # Lock order
//
//	lane  >  removals  >  planner.mu  >  fileState.mu (several only by the sender, in inode order)  >
//	writeMu  >  the tree's writer  >  {filesMu, queue.mu, keysMu, status.mu, stream.mu}
//
// In other words: the lane (held by whoever talks commands to the cloud, or
// fetches the whole tree) may be held over the network; no other lock is ever
// held across the network, a callback, or a read that may fetch. writeMu makes
// a transaction and what it changes in memory one step, and the first opening
// of a file too, so that the event loop can't change its row in between. Those
// in braces are leaves: nothing is taken and nothing is called while one is
// held. The tree calls IsOpen, PendingKey and OwnTag from inside a transaction;
// they take leaves only.
package writeback
