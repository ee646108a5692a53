package megaclient

import "time"

// Answer is one answer of the event stream.
type Answer struct {
	Packets []Packet
	SN      string    // go on from here once the packets have been applied
	More    bool      // more is waiting: the state is not yet up to date
	Asked   time.Time // when the request was begun: without packets, nothing was new at that moment
}

// Packet is an event (PROTOCOL 8.3): one of the types below.
type Packet interface {
	// PacketTag gives the tag of the command that caused the event, "" if it had none: an event of
	// our own carries the tag of our Batch.
	PacketTag() string
}

// NodesPacket brings new nodes, or a new parent for known ones (t). The half of a move that tells
// the new place is one too; it follows a RemovePacket with Move.
type NodesPacket struct {
	Tag    string
	Nodes  []*Node
	Users  []User // of whom the event tells
	Origin UserHandle
}

// AttrsPacket replaces a node's attributes (u).
type AttrsPacket struct {
	Tag      string
	Node     Handle
	RawAttrs string // encrypted: DecryptAttrs
	RawKey   string // the node's key as sent, mostly ""
	Owner    UserHandle
	Created  int64
}

// RemovePacket removes a node with all below it (d). With Move it is the first half of a move: the
// NodesPacket with the new place follows, perhaps in another Answer.
type RemovePacket struct {
	Tag    string
	Node   Handle
	Move   bool
	Origin UserHandle
}

// FileAttrsPacket replaces a node's file attributes (fa).
type FileAttrsPacket struct {
	Tag       string
	Node      Handle
	FileAttrs string
}

// LinkPacket says that a public link was made, changed or removed (ph).
type LinkPacket struct {
	Tag          string
	Node, Public Handle
	Removed      bool
	Down         bool // taken down
}

// SharePacket says that a share was made, changed or removed (s, s2). A key that came with it is
// known to the client already.
type SharePacket struct {
	Tag     string
	Node    Handle
	Owner   UserHandle
	User    UserHandle // "" for a public folder link
	Link    bool       // the public folder link (EXP)
	Access  int
	Removed bool
	Pending bool
	KeyOnly bool // nothing but the share's key
}

// UserAttrsPacket says that attributes of a user changed (ua).
type UserAttrsPacket struct {
	Tag   string
	User  UserHandle
	Names []string
}

// UsersPacket says who somebody is: a contact, a former one, or somebody with a new address (c, se).
type UsersPacket struct {
	Tag   string
	Users []User
}

// PendingKeysPacket says that keys of incoming shares can be had: see LoadKeys (pk).
type PendingKeysPacket struct{ Tag string }

// QuotaPacket says that the account's quota changed (psts, psts_v2, pses, sqac, ftr).
type QuotaPacket struct{ Tag string }

// OtherPacket is an event that changes no node.
type OtherPacket struct {
	Tag  string
	Type string
}

// BadPacket stands for an event that can't be understood.
type BadPacket struct {
	Err error // names no node
}

// PacketTag implements Packet.
func (p *BadPacket) PacketTag() string { return "" }

// PacketTag implements Packet.
func (p *NodesPacket) PacketTag() string { return p.Tag }

// PacketTag implements Packet.
func (p *AttrsPacket) PacketTag() string { return p.Tag }

// PacketTag implements Packet.
func (p *RemovePacket) PacketTag() string { return p.Tag }

// PacketTag implements Packet.
func (p *FileAttrsPacket) PacketTag() string { return p.Tag }

// PacketTag implements Packet.
func (p *LinkPacket) PacketTag() string { return p.Tag }

// PacketTag implements Packet.
func (p *SharePacket) PacketTag() string { return p.Tag }

// PacketTag implements Packet.
func (p *UserAttrsPacket) PacketTag() string { return p.Tag }

// PacketTag implements Packet.
func (p *UsersPacket) PacketTag() string { return p.Tag }

// PacketTag implements Packet.
func (p *PendingKeysPacket) PacketTag() string { return p.Tag }

// PacketTag implements Packet.
func (p *QuotaPacket) PacketTag() string { return p.Tag }

// PacketTag implements Packet.
func (p *OtherPacket) PacketTag() string { return p.Tag }
