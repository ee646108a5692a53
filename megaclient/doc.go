// Package megaclient speaks the protocol of MEGA's cloud storage, and nothing else: it knows no file
// system, no cache and no database. Any Go program can use it.
//
// # What there is
//
// MEGA keeps a tree of nodes, files and folders, whose names and content only its clients can read.
// A Client speaks for one account. It comes from Login, with the password, or from Resume, with the
// Session that an earlier Client gave and that is as good as the account itself.
//
//	FetchNodes   the whole tree, as a stream, and the sequence number SN that it belongs to
//	Listen       what has happened since a sequence number, and from then on, as typed packets
//	Execute      changes, exactly once
//	ReadContent  a part of a file, as ciphertext; Get for a whole file, decrypted and verified
//	Upload       content, resumable; Put for content and node in one call
//
// Files that the server spreads over six URLs (CloudRAID) are read like others, from any five of them.
//
// A program that keeps a tree calls FetchNodes once, then Listen with its SN, and stores the SN of
// each Answer together with what it made of the answer's packets. When Listen ends with ErrTooOld, it
// begins again.
//
// Everything that comes from a server is judged as hostile: sizes, times, keys and nesting are
// bounded, a damaged node is delivered as far as it can be read, and never ends a fetch. A Node has
// Key and Attrs nil while nothing opens it; keys come in any order, so Unlock may succeed later.
//
// # Changes, exactly once
//
// A connection can break when the server has done its work, but has not said so. To do it again would
// make a folder twice. Therefore a change has three steps:
//
//	b, err := c.Prepare(ops...)     // a request id, the exact bytes, and a tag for each operation
//	store(b)                        // if the change must survive the end of this process
//	results, err := c.Execute(ctx, b)
//
// Execute sends the same bytes with the same id again and again, which the server recognises, but
// never later than a minute after it may first have arrived, as then the server could have forgotten
// the id; and never a batch of another run of the process. What remains open is ErrUncertain. Its fate
// is to be found: once Busy says that the server is done, each operation that was carried out shows in
// the events, where PacketTag is the operation's tag. All other errors mean that nothing was done.
// Answers that say "not now" are waited out until ctx ends.
//
// One batch is under way at a time, so changes of one Client take effect in the order of their
// Execute calls. Questions, and the URLs of transfers, have lanes of their own.
//
// Mkdir, Move, Rename, Trash, Remove, ExportLink and Put do all three steps in one call, for programs
// that need no more.
//
// # Shares
//
// A node's key is encrypted for its owner, and for each share that it lies in by the share's key.
// What is put into a shared folder must therefore name the share (PutNodes.Shares, MoveNode.Shares),
// or the others can't read it. Share keys come with the tree, with packets, and from LoadKeys; the
// caller keeps them between runs (ShareKeys, AddShareKeys), as not all can be had again.
//
// # Errors
//
// What the server refuses is an *Error; compare with errors.Is(err, ENOENT) and the like. ESID means
// that the session is over, for this Client for good: log in again. *BlockedError and *OverQuotaError
// carry what their codes mean. ErrUnreachable means that no answer came for a while. Contexts end
// everything at once; their error is then found by errors.Is.
//
// # Traps
//
//   - A file gets a new handle with each new version; the old node becomes its child (Node.Version).
//   - Created is when the server made the node. The time of last modification is Mtime.
//   - Names are not unique in a folder, and can be any string: empty, with slashes, with NUL.
//   - A move is two packets, RemovePacket with Move and NodesPacket, perhaps in two Answers.
//   - SetAttrs replaces all attributes: begin with a Clone of what the node has.
//   - Node.Index and the order of Result.Nodes are the server's; match new nodes by their key.
//   - Nodes, sessions and operations print as "redacted": they hold keys and names.
package megaclient
