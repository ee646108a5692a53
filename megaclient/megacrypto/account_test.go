package megacrypto_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	mc "megadisk/megaclient/megacrypto"
)

type v1Value struct {
	Key  string `json:"password_key_hex"`
	Hash string `json:"uh"`
}

func TestAccountV1Vectors(t *testing.T) {
	type vector struct {
		Password, Email string
		v1Value
		SDK, UTF8 *v1Value
	}
	keys := map[string][2]mc.Key{} // each takes a while
	for _, v := range loadVectors[vector](t, "account_v1") {
		if _, ok := keys[v.Password]; !ok {
			keys[v.Password] = [2]mc.Key{mc.PasswordKeyV1(v.Password), mc.PasswordKeyV1UTF8(v.Password)}
		}
		want := [2]v1Value{v.v1Value, v.v1Value}
		if v.SDK != nil {
			want = [2]v1Value{*v.SDK, *v.UTF8}
		}
		for i, key := range keys[v.Password] {
			require.Equal(t, unhex(t, want[i].Key), key[:], v.Password)
			require.Equal(t, want[i].Hash, mc.UserHashV1(v.Email, key), v.Email)
		}
	}
}

func TestAccountV2Vectors(t *testing.T) {
	type vector struct {
		Password string
		Salt     string `json:"salt_b64"`
		v1Value
	}
	for _, v := range loadVectors[vector](t, "account_v2") {
		key, hash := mc.DeriveV2(v.Password, unbase64(t, v.Salt))
		require.Equal(t, unhex(t, v.Key), key[:])
		require.Equal(t, v.Hash, hash)
	}
}

func TestPasswordKeyV1EmptyPassword(t *testing.T) {
	want := mc.Key(unhex(t, "93c467e37db0c7a4d1be3f810152cb56"))
	require.True(t, want == mc.PasswordKeyV1(""))
	require.True(t, want == mc.PasswordKeyV1UTF8(""))
}
