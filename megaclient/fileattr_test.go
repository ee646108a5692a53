package megaclient_test

import (
	"bytes"
	"fmt"
	"testing"
	"time"

	"megadisk/megaclient"
	"megadisk/megaclient/megacrypto"
	"megadisk/megaclient/megatest"

	"github.com/stretchr/testify/require"
)

func TestFileAttrsAreStoredAndFetchedInBatches(t *testing.T) {
	s, a := newWorld(t)
	c := login(t, s, a)
	const files = 150
	keys := map[megaclient.FileAttr]megacrypto.FileKey{}
	var list []megaclient.FileAttr
	for i := range files {
		h := a.PutFile(a.Root(), fmt.Sprint(i), []byte("content"), time.Unix(1e9, 0))
		key, err := megacrypto.UnpackFileKey(a.Key(h))
		require.NoError(t, err)
		require.NoError(t, c.AttachFileAttrs(t.Context(), megaclient.Handle(h), key, map[megaclient.FileAttrType][]byte{
			megaclient.Thumbnail: bytes.Repeat([]byte{byte(i)}, 100+i),
			megaclient.Preview:   []byte("a preview"),
		}))
		fa, ok := megaclient.ParseFileAttr(a.FileAttrs(h), megaclient.Thumbnail)
		require.True(t, ok)
		preview, ok := megaclient.ParseFileAttr(a.FileAttrs(h), megaclient.Preview)
		require.True(t, ok)
		require.NotEqual(t, fa, preview)
		keys[fa] = key
		list = append(list, fa)
	}
	before := s.Stats().Commands["ufa"]
	got := map[megaclient.FileAttr][]byte{}
	require.NoError(t, c.FetchFileAttrs(t.Context(), list, func(fa megaclient.FileAttr, data []byte) {
		plain, err := megaclient.OpenFileAttr(keys[fa], data)
		require.NoError(t, err)
		got[fa] = plain
	}))
	require.Equal(t, before+2, s.Stats().Commands["ufa"], "a hundred in a request")
	require.Len(t, got, files)
	for i, fa := range list {
		require.Equal(t, bytes.Repeat([]byte{byte(i)}, 100+i), got[fa][:100+i])
		require.Empty(t, bytes.Trim(got[fa][100+i:], "\x00"), "filled up with zeros")
	}
}

func TestFileAttrsOfAStrangeServer(t *testing.T) {
	for _, text := range []string{"", "0*abc", "1:0*", "1:0*AAAA", ":::", "1:1*AAAAAAAAAAA", "1:8*AAAAAAAAAAA/2:9*x"} {
		_, ok := megaclient.ParseFileAttr(text, megaclient.Thumbnail)
		require.False(t, ok, text)
	}
	_, err := megaclient.OpenFileAttr(megacrypto.NewFileKey(), []byte("no whole block"))
	require.ErrorIs(t, err, megaclient.ErrBadAnswer)

	s, a := newWorld(t)
	c := login(t, s, a)
	fa, ok := megaclient.ParseFileAttr("1:0*AAAAAAAAAAA", megaclient.Thumbnail)
	require.True(t, ok)
	require.NoError(t, c.FetchFileAttrs(t.Context(), []megaclient.FileAttr{fa}, func(megaclient.FileAttr, []byte) {
		t.Error("nothing is there")
	}))
	s.Faults().FailCommand("ufa", -11, megatest.Always)
	require.ErrorIs(t, c.FetchFileAttrs(t.Context(), []megaclient.FileAttr{fa}, nil), megaclient.EACCESS)
}
