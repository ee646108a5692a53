// Package tree is the inode table, kept in Badger: which inode is which MEGA node, what is in each
// folder, by which name. It opens at once, holds a million nodes without holding them in memory, and
// shares its database, and so its transactions, with the journal of package writeback.
//
// # Inodes and shadows
//
// An [Inode] is one file or folder as it is shown here. Its number is for life: through renames, new
// versions, and the moment when the cloud first hears of it; it is never given again. What the cloud
// holds of it, as far as that was heard, is its shadow, [Inode.Cloud]. Where the two differ because of
// something done here, a [Pending] bit says so. That is the whole merge:
//
//   - the shadow always follows the cloud;
//   - each field that is shown follows the shadow, unless its Pending bit is set;
//   - what must be sent is what still differs, whoever looks and whenever.
//
// Everything of the account is in the one tree: the Cloud Drive, the bin and the vault have fixed
// numbers, and the roots of incoming shares are in [SharesIno]. A move to the bin is a move.
//
// # What the cloud may do
//
// [Tx.ApplyNode] and its brothers take what an answer, a packet or a full fetch says. They can be
// repeated; they take nodes in any order (a node whose parent is unknown waits for it as an orphan); and
// whatever a node holds, it ends up inside the tree under a name that POSIX allows, or is refused with
// [ErrInvalid] or [ErrCircular]. The rules for what meets something pending stand at removeNode,
// supersede, claim and breakCycle; the table tests go through them one by one.
//
// Names in the cloud are any strings and need not be unique. [Escape] makes them fit, both ways, without
// loss; of several nodes of one name the oldest has it, and the others are shown with their handle
// behind it. What is only here gives way, under a conflict name, to what the cloud has.
//
// A full fetch is an epoch: each node it names is stamped, and [Tree.EndFetch] removes those that
// weren't. The tree is served all the while.
//
// # Transactions
//
// One writes at a time ([Tree.Update]); any number read ([Tree.View]). Reads outside of a transaction
// ([Tree.Get], [Tree.Lookup], [Tree.ReadDir]) go through a bounded cache that is never stale; its rule is
// written at type memory. Transactions are bounded, since Badger refuses big ones: removing a folder
// changes one edge, and the sweeper, the tree's one goroutine that writes, does the rest in steps that a
// crash may repeat; each row is looked at again before it goes. Long lists of nodes are applied until
// [Tx.Full], then in the next transaction.
//
// After a commit, and under no lock, the subscribers hear what changed, in order ([Tree.Subscribe]).
//
// # Removed inodes
//
// A removed inode's row stays, with Removed set, since a kernel or an open handle may still name it.
// [Tx.Purge] deletes one, [Tree.Reap] all that nobody needs.
//
// FORMAT.md describes the rows.
package tree
