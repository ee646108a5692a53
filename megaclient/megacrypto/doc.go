// Package megacrypto is MEGA's cryptography and formats as pure functions: no network, no files, no
// state, nothing but the standard library and, for chunk MACs, generated assembly. It can be used by any
// Go program that has to read or write what a MEGA account holds. Numbers in brackets are sections of
// the protocol reference.
//
// # Who holds which key
//
// The server stores only what clients encrypted. A password gives a password key (DeriveV2; for
// accounts before 2018 PasswordKeyV1) [2.2, 2.3], which decrypts the master key, which decrypts
// everything else:
//
//	password ── derivation ──> password key ── ECB ──> master key
//	master key ── ECB ──> RSA private key ── RSA ──> session id, keys that others sent [2.5]
//	           ── ECB ──> key of each node of one's own [3.3]
//	           ── HKDF, GCM ──> ^!keys: share keys, Curve25519 key [3.10]
//	share key  ── ECB ──> key of each node below that share
//
// EncryptKey and DecryptKey are those ECB arrows. A folder's node key is a Key. A file's is 32 bytes,
// packed; UnpackFileKey splits it into the AES key A, the nonce N and the meta-MAC M [4.1]:
//
//	packed = (A xor (N‖M)) ‖ N ‖ M
//
// A public link carries the node key itself (ParseLink) [2.9].
//
// # What a node says about itself
//
// Its attributes [3.4] are "MEGA" and a JSON object, padded with zeros, AES-CBC with a zero IV, under
// A or the folder's key: DecryptAttributes. Keep unknown attributes, and change names only through
// SetString: names are bytes, and encoding/json would replace those that aren't UTF-8. The attribute
// "c" is a Fingerprint [3.5]: four CRCs, and the file's modification time, which stands nowhere else.
//
// # A file's content
//
// It is encrypted with AES-CTR under A, counter N ‖ offset/16 [4.2], so any range can be read alone:
// Cipher.XORKeyStreamAt. Integrity goes by chunks of 128 KiB growing to 1 MiB (ChunkBounds) [4.3]: each
// has a CBC-MAC over its plaintext (Cipher.ChunkMAC, or Cipher.NewMAC for bytes that arrive in
// pieces), and all of them fold into the eight bytes M (Cipher.MetaMAC) [4.4]. Only M is stored, so a
// range can be decrypted but not verified before the whole file was seen. MACs of several chunks cost
// little more than that of one when they are computed together: Cipher.ChunkMACs, AdvanceMACs.
//
// The one rule that has no exception: A and N never encrypt two different contents. CTR would give
// away their difference. NewFileKey draws new ones for every content.
//
// # Known traps
//
//   - MACs that other clients wrote may differ from the right one: Cipher.CheckMAC knows how, and never
//     compares that of an empty file.
//   - RSA plaintexts begin with data, so their leading zero bytes count: PrivateKey.Decrypt.
//   - Attribute values may be numbers where one expects strings: Attributes.String reads both.
//   - Passwords of version 1 accounts that aren't ASCII were packed in two ways; try both.
//   - Keys never print themselves (%v, %x, %#v give "[secret]"), links do.
package megacrypto
