package megatest_test

import (
	"bytes"
	"testing"

	"github.com/stretchr/testify/require"

	"megadisk/megaclient/megatest"
)

func TestContentThatIsNotKept(t *testing.T) {
	s := newServer(t, megatest.WithoutContent())
	a := s.AddAccount("user@example.com", password)
	c := login(t, s, a)
	content := make([]byte, 1<<20+5)
	megatest.SyntheticAt(content, 0)
	h := c.put(a.Root(), c.upload("x", content))[0]
	size := int64(len(content))
	require.NoError(t, a.CheckForgotten(h, bytes.NewReader(content), size))
	require.ErrorIs(t, a.CheckForgotten(h, bytes.NewReader(content), size-1), megatest.ErrContent, "another size")
	require.Error(t, a.CheckForgotten(h, bytes.NewReader(content[:size-1]), size), "what is compared ends")
	content[size-1] ^= 1
	require.ErrorIs(t, a.CheckForgotten(h, bytes.NewReader(content), size), megatest.ErrContent, "another last byte")
	require.Error(t, a.Tree()["x"].Err, "nothing is there to be read")

	entry := c.upload("x", content)
	other := c.upload("y", content[1:])
	entry["h"] = other["h"] // another file's bytes under this one's key
	h = c.put(a.Root(), entry)[0]
	require.ErrorIs(t, a.CheckForgotten(h, bytes.NewReader(content[1:]), size-1), megatest.ErrContent)

	kept := newServer(t)
	b := kept.AddAccount("user@example.com", password)
	r := login(t, kept, b)
	h = r.put(b.Root(), r.upload("x", content))[0]
	require.Error(t, b.CheckForgotten(h, bytes.NewReader(content), size))
}
