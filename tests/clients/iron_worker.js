'use strict'
// IronWorker's published Node client, as it is, finds its server by the environment and goes through
// what its users do but uploads (upload.js). Prints what failed; exit status 1.
const assert = require('assert')
const http = require('http')
const { Client } = require('iron_worker')

const client = new Client()
const options = client.api.options
const ID = /^[0-9a-f]{24}$/

// client.name(...) as a promise; the client's callbacks are (error, body)
const call = (name, ...args) => new Promise((resolve, reject) =>
  client[name](...args, (error, body) => error ? reject(new Error(name + ': ' + error.message)) : resolve(body)))

const register = fields => new Promise((resolve, reject) =>
  client.api.codesUpload({ data: JSON.stringify(fields) }, (error, body) => error ? reject(error) : resolve(body)))

const webhook = (codeName, payload) => new Promise((resolve, reject) => {
  const path = '/2/projects/' + options.project_id + '/tasks/webhook?code_name=' + codeName + '&oauth=' + options.token
  const request = http.request({ host: options.host, port: options.port, method: 'POST', path }, answer => {
    let body = ''
    answer.on('data', piece => { body += piece })
    answer.on('end', () => resolve(JSON.parse(body)))
  })
  request.on('error', reject)
  request.end(payload)
})

async function codes (name) {
  const made = await register({ name, image: 'busybox', command: 'cat $PAYLOAD_FILE; echo; echo err >&2', max_concurrency: 3, retries: 1 })
  assert.match(made.id, ID)
  const again = await register({ name, image: 'busybox', command: 'sh -c "cat $PAYLOAD_FILE; echo >&2 err"' })
  assert.strictEqual(again.id, made.id)
  const code = await call('codesGet', made.id)
  assert.deepStrictEqual([code.name, code.rev, code.max_concurrency, code.retries], [name, 2, 3, 1])
  assert.ok((await call('codesList', { per_page: 100 })).some(one => one.id === made.id))
  assert.deepStrictEqual((await call('codesRevisions', made.id, {})).map(one => one.rev), [2, 1])
  return made.id
}

async function finishedTask (name) {
  const { id } = await call('tasksCreate', name, { hello: 'world' }, { label: 'node', timeout: 60, priority: 2 })
  assert.match(id, ID)
  const task = await call('tasksWaitFor', id, {})
  assert.deepStrictEqual([task.status, task.payload, task.label, task.priority, task.run_times],
    ['complete', '{"hello":"world"}', 'node', 2, 1])
  assert.strictEqual(task.msg, undefined)
  assert.match(await call('tasksWaitForLog', id, {}), /\{"hello":"world"\}/)
  assert.match(await call('tasksRun', name, 'ran', {}), /^ran/)
  const retried = await call('tasksRetry', id, 0)
  assert.strictEqual(retried.msg, 'Queued up')
  assert.strictEqual((await call('tasksWaitFor', retried.tasks[0].id, {})).payload, '{"hello":"world"}')
  assert.ok((await call('tasksList', { code_name: name, complete: 1, per_page: 100 })).length >= 3)
}

async function waitingTask (name, code) {
  for (const priority of [0, 1, 2]) {
    const { id } = await call('tasksCreate', name, 'later', { delay: 900, priority })
    await assert.rejects(call('tasksLog', id), /log/i)
    assert.strictEqual((await call('tasksSetProgress', id, { percent: 25, msg: 'a quarter' })).msg, 'Progress set')
    const task = await call('tasksGet', id)
    assert.deepStrictEqual([task.status, task.percent, task.msg, task.delay, task.priority], ['queued', 25, 'a quarter', 900, priority])
    assert.strictEqual((await call('tasksCancel', id)).msg, 'Cancelled')
    assert.strictEqual((await call('tasksGet', id)).status, 'cancelled')
  }
  const bulk = await call('tasksCreateBulk', ['a', 'b'].map(payload => ({ codeName: name, payload, options: { delay: 900 } })))
  assert.strictEqual((await call('tasksCancelAll', code)).msg, 'Cancelled')
  assert.strictEqual((await call('tasksGet', bulk.id)).status, 'cancelled')
}

async function failedTask () {
  await register({ name: 'node-fails', image: 'busybox', command: 'sh -c "echo broken; exit 4"', retries: 1 })
  const { id } = await call('tasksCreate', 'node-fails', '', {})
  const task = await call('tasksWaitFor', id, {})
  assert.deepStrictEqual([task.status, task.msg, task.error_class], ['error', 'broken\n', 'Process Exit 4'])
  const second = await call('tasksWaitFor', task.retry_task_id, {})
  assert.deepStrictEqual([second.original_task_id, second.retry, second.retry_task_id], [id, 1, undefined])
}

async function schedules (name) {
  const made = await call('schedulesCreate', name, '{}', { start_at: '2031-04-05T06:07:08.654Z', run_every: 3600, run_times: 2, label: 'sl' })
  const id = made.id || made.schedules[0].id
  const schedule = await call('schedulesGet', id)
  assert.deepStrictEqual([schedule.status, schedule.start_at, schedule.run_every, schedule.run_times, schedule.label],
    ['scheduled', '2031-04-05T06:07:08.654Z', 3600, 2, 'sl'])
  assert.ok((await call('schedulesList', { per_page: 100 })).some(one => one.id === id))
  assert.strictEqual((await call('schedulesCancel', id)).msg, 'Cancelled')
  assert.strictEqual((await call('schedulesGet', id)).status, 'cancelled')
}

async function clusters (name) {
  const made = await call('clustersCreate', name, 268435456, 1073741824, {})
  const id = made.id || made.cluster.id
  const found = await call('clustersGet', id)
  assert.strictEqual((found.cluster || found).memory, 268435456)
  assert.ok((await call('clustersList', {})).clusters.some(one => one.id === id))
  await call('clustersUpdate', id, { memory: 536870912 })
  await call('clustersStats', id)
  await call('instanceTerminate', id, '1')
  await call('clustersDelete', id)
  await assert.rejects(call('clustersGet', id), /cluster/)
}

async function main () {
  const name = 'node-' + process.argv[2]
  const code = await codes(name)
  await finishedTask(name)
  await waitingTask(name, code)
  await failedTask()
  await schedules(name)
  await clusters(name)
  const hooked = await webhook(name, 'from a webhook')
  assert.strictEqual(hooked.msg, 'Queued up.')
  assert.strictEqual((await call('tasksWaitFor', hooked.id, {})).payload, 'from a webhook')
  assert.strictEqual((await call('codesDelete', code)).msg, 'Deleted')
  await assert.rejects(call('codesGet', code), /code/)
}

main().then(() => console.log('ok'), error => {
  console.error(error)
  process.exitCode = 1
})
