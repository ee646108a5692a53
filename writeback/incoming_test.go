package writeback

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"megadisk/megaclient"
	"megadisk/megaclient/megatest"
	"megadisk/writeback/tree"
)

const lenderMail = "lender@example.org"

// lender is an account with a folder to share.
func (r *rig) lender(mail string, opts ...megatest.AccountOption) (owner *megatest.Account, folder string) {
	owner = r.server.AddAccount(mail, testPassword, opts...)
	folder = owner.Mkdir(owner.Root(), "lent")
	return owner, folder
}

// sharedByContact is an account that is a contact, and shares a folder.
func (r *rig) sharedByContact() *megatest.Account {
	owner, folder := r.lender(lenderMail)
	owner.Befriend(r.account)
	owner.Share(folder, r.account, megaclient.AccessRead)
	r.sharesAre(1)
	return owner
}

// sharesAre waits until so many shares of others are here.
func (r *rig) sharesAre(n int) {
	r.eventually(func() bool {
		list, err := r.engine.Tree().ReadDir(tree.SharesIno, "", 0)
		return err == nil && len(list) == n
	})
}

func (r *rig) ownerIs(owner *megatest.Account, name string) {
	r.Helper()
	r.eventually(func() bool { return r.engine.ShareOwner(megaclient.UserHandle(owner.Handle)) == name })
}

// refetched makes the engine fetch the tree anew, by an event that makes no sense, and waits for that.
func (r *rig) refetched() {
	before := r.sent("f")
	r.server.Faults().Tell(r.account, `{"a":"d"}`)
	r.eventually(func() bool { return r.sent("f") > before })
	r.caughtUp()
}

// A contact's address comes with the event that makes it one, and nobody is asked for it.
func TestShareOfAContact(t *testing.T) {
	r := newRig(t, settleNever)
	owner := r.sharedByContact()
	require.Equal(t, lenderMail, r.engine.ShareOwner(megaclient.UserHandle(owner.Handle)))
	r.caughtUp()
	require.Zero(t, r.sent("uge"))
}

// Who shares and was never heard of goes by the handle until the server has said who it is.
func TestShareOfAStranger(t *testing.T) {
	r := newRig(t, settleNever)
	owner, folder := r.lender(lenderMail)
	release := r.server.Faults().Hold("uge")
	defer release()
	owner.Share(folder, r.account, megaclient.AccessRead)
	r.sharesAre(1)
	require.Equal(t, owner.Handle, r.engine.ShareOwner(megaclient.UserHandle(owner.Handle)))
	release()
	r.ownerIs(owner, lenderMail)
	require.NoError(t, r.engine.AskPeople(r.ctx))
	r.ownerIs(owner, lenderMail)
}

// The same where the process ended before the answer, and where the network was gone when it was asked.
func TestShareOfAStrangerLater(t *testing.T) {
	for name, meanwhile := range map[string]func(r *rig){
		"crash":      func(r *rig) { r.crash(); r.server.Faults().Clear(); r.start() },
		"restart":    func(r *rig) { r.stop(); r.server.Faults().Clear(); r.start() },
		"full fetch": func(r *rig) { r.server.Faults().Clear(); r.refetched() },
		"another share": func(r *rig) {
			r.server.Faults().Clear()
			other, folder := r.lender("other@example.org")
			other.Share(folder, r.account, megaclient.AccessRead)
		},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, settleNever)
			owner, folder := r.lender(lenderMail)
			r.server.Faults().FailCommand("uge", int(megaclient.EACCESS), megatest.Always)
			owner.Share(folder, r.account, megaclient.AccessRead)
			r.sharesAre(1)
			r.eventually(func() bool { return r.sent("uge") > 0 })
			require.Equal(t, owner.Handle, r.engine.ShareOwner(megaclient.UserHandle(owner.Handle)))
			meanwhile(r)
			r.ownerIs(owner, lenderMail)
		})
	}
	t.Run("no network", func(t *testing.T) {
		r := newRig(t, settleNever)
		owner, folder := r.lender(lenderMail)
		r.stop()
		owner.Share(folder, r.account, megaclient.AccessRead)
		r.start()
		r.ownerIs(owner, lenderMail)
	})
}

// Who is a contact no longer keeps the name as long as something is shared, also after a full fetch, which doesn't list
// such people. A new address replaces the old one.
func TestOwnersOfSharesChange(t *testing.T) {
	r := newRig(t, settleNever)
	owner := r.sharedByContact()
	owner.Part(r.account)
	r.caughtUp()
	r.ownerIs(owner, lenderMail)
	r.refetched()
	require.Equal(t, lenderMail, r.engine.ShareOwner(megaclient.UserHandle(owner.Handle)))
	r.server.Faults().Tell(r.account, `{"a":"se","u":"`+owner.Handle+`","e":"new@example.org","s":3}`)
	r.ownerIs(owner, "new@example.org")
	require.Zero(t, r.sent("uge"))

	// Who shares nothing is forgotten with the friendship.
	friend, _ := r.lender("friend@example.org")
	knows := func() bool {
		found, err := r.engine.UserByMail("Friend@example.org")
		require.NoError(t, err)
		return found != ""
	}
	friend.Befriend(r.account)
	r.eventually(knows)
	friend.Part(r.account)
	r.eventually(func() bool { return !knows() })
}

// A server that gives two owners one address makes nothing unreachable: the address is that of who had it last.
func TestOwnersWithOneAddress(t *testing.T) {
	r := newRig(t, settleNever)
	r.server.Faults().FailCommand("uge", int(megaclient.EACCESS), megatest.Always) // else the one would get it back
	one, folder := r.lender(lenderMail)
	other, another := r.lender("other@example.org")
	for owner, f := range map[*megatest.Account]string{one: folder, other: another} {
		owner.Befriend(r.account)
		owner.Share(f, r.account, megaclient.AccessRead)
	}
	r.sharesAre(2)
	r.server.Faults().Tell(r.account, `{"a":"se","u":"`+other.Handle+`","e":"`+strings.ToUpper(lenderMail)+`","s":3}`)
	r.ownerIs(other, strings.ToUpper(lenderMail))
	require.Equal(t, one.Handle, r.engine.ShareOwner(megaclient.UserHandle(one.Handle)))
}

// Keys that could not be had when they were told of make readable what wasn't: after a start, after a new login, and with
// the next share.
func TestKeysOfSharesComeLater(t *testing.T) {
	for name, meanwhile := range map[string]func(r *rig){
		"crash":      func(r *rig) { r.crash(); r.server.Faults().Clear(); r.start() },
		"restart":    func(r *rig) { r.stop(); r.server.Faults().Clear(); r.start() },
		"new login":  func(r *rig) { r.server.Faults().Clear(); r.engine.Revive() },
		"full fetch": func(r *rig) { r.server.Faults().Clear(); r.refetched() },
	} {
		t.Run(name, func(t *testing.T) {
			r := newRigOf(t, rigLimit, megatest.WithAccountKeys(), settleNever)
			owner, folder := r.lender(lenderMail, megatest.WithAccountKeys())
			owner.Befriend(r.account)
			r.server.Faults().FailCommand("uga", int(megaclient.EACCESS), megatest.Always)
			asked := r.sent("uga")
			owner.Share(folder, r.account, megaclient.AccessRead)
			r.eventually(func() bool { return r.sent("uga") > asked })
			r.caughtUp()
			r.sharesAre(0)
			meanwhile(r)
			r.sharesAre(1)
		})
	}
}
