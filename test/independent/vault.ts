import {createCipheriv, createDecipheriv, randomBytes} from 'node:crypto'
import {once} from 'node:events'
import {createServer} from 'node:http'
import type {AddressInfo} from 'node:net'
import {text} from 'node:stream/consumers'

interface Answer {
  status: number
  body?: object
}

interface Call {
  context?: string
  ciphertext?: string
}

const refused = (message: string): Answer => ({status: 400, body: {errors: [message]}})

/** As much of Vault's transit engine as RGW needs for SSE-S3: keys, data keys, and their decryption. */
export async function startVault(): Promise<{endpoint: string; close(): Promise<void>}> {
  const keys = new Map<string, Buffer>()
  const server = createServer((request, response) => {
    void text(request).then((body) => {
      const answer = answerTo(keys, request.method ?? '', request.url ?? '', parse(body))
      response.writeHead(answer.status, {'content-type': 'application/json'}).end(answer.body ? JSON.stringify(answer.body) : '')
    })
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return {
    endpoint: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    async close() {
      server.close()
      server.closeAllConnections()
      await once(server, 'close')
    },
  }
}

function parse(body: string): Call {
  try {
    return JSON.parse(body) as Call
  } catch {
    return {}
  }
}

function answerTo(keys: Map<string, Buffer>, method: string, path: string, call: Call): Answer {
  const [, operation, name = ''] = /^\/v1\/transit\/(keys|datakey\/plaintext|decrypt)\/([^/?]+)/.exec(path) ?? []
  if (operation === 'keys') return keyCall(keys, method, name)
  const key = keys.get(name)
  if (operation === undefined) return {status: 404, body: {errors: []}}
  if (!key) return refused('no such key')
  return operation === 'decrypt' ? decrypt(key, call) : dataKey(key, call)
}

function keyCall(keys: Map<string, Buffer>, method: string, name: string): Answer {
  if (method === 'DELETE') keys.delete(name)
  else if (method === 'GET') return keys.has(name) ? {status: 200, body: {data: {name, type: 'aes256-gcm96', latest_version: 1, keys: {1: 1}}}} : {status: 404, body: {errors: []}}
  else if (!keys.has(name)) keys.set(name, randomBytes(32))
  return {status: 204}
}

function dataKey(key: Buffer, {context}: Call): Answer {
  const [plain, nonce] = [randomBytes(32), randomBytes(12)]
  const cipher = createCipheriv('aes-256-gcm', key, nonce)
  if (context !== undefined) cipher.setAAD(Buffer.from(context, 'base64'))
  const sealed = Buffer.concat([nonce, cipher.update(plain), cipher.final(), cipher.getAuthTag()])
  return {status: 200, body: {data: {plaintext: plain.toString('base64'), ciphertext: `vault:v1:${sealed.toString('base64')}`, key_version: 1}}}
}

function decrypt(key: Buffer, {context, ciphertext = ''}: Call): Answer {
  const sealed = Buffer.from(ciphertext.split(':')[2] ?? '', 'base64')
  try {
    const decipher = createDecipheriv('aes-256-gcm', key, sealed.subarray(0, 12))
    if (context !== undefined) decipher.setAAD(Buffer.from(context, 'base64'))
    decipher.setAuthTag(sealed.subarray(-16))
    return {status: 200, body: {data: {plaintext: Buffer.concat([decipher.update(sealed.subarray(12, -16)), decipher.final()]).toString('base64')}}}
  } catch (error) {
    return refused(String(error))
  }
}
