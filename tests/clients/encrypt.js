'use strict'
// {"public_key": PEM, "payloads": [text, …]} from stdin; the payloads as IronWorker's clients encrypt them
// to stdout, a JSON array: base64 of RSA-OAEP(SHA-1) of an AES-128 key, AES-128-GCM, its tag, its nonce.
const crypto = require('crypto')
const fs = require('fs')

const asked = JSON.parse(fs.readFileSync(0, 'utf8'))
const encrypt = text => {
  const key = crypto.randomBytes(16)
  const nonce = crypto.randomBytes(12)
  const cipher = crypto.createCipheriv('aes-128-gcm', key, nonce)
  const sealed = crypto.publicEncrypt({ key: asked.public_key, padding: crypto.constants.RSA_PKCS1_OAEP_PADDING, oaepHash: 'sha1' }, key)
  const body = Buffer.concat([cipher.update(text, 'utf8'), cipher.final()])
  return Buffer.concat([sealed, body, cipher.getAuthTag(), nonce]).toString('base64')
}
process.stdout.write(JSON.stringify(asked.payloads.map(encrypt)))
