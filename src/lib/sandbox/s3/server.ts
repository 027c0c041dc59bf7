import {once} from 'node:events'
import {createServer, type IncomingMessage, type Server, type ServerResponse} from 'node:http'
import type {AddressInfo} from 'node:net'
import {checkBucketName} from './bucket-operations.ts'
import {Faults} from './faults.ts'
import {handle, type Environment} from './handler.ts'
import {Link} from './link.ts'
import type {Credentials} from './signature.ts'
import {Store} from './store.ts'

export interface S3ServerOptions {
  /** Holds the buckets; made when missing. A server started later on the same folder has the same objects. */
  directory: string
  credentials: Credentials
  /** 0 or nothing: a free one. */
  port?: number
  /** us-east-1 unless said otherwise; a request signed for another one is refused. */
  region?: string
  /** Made when they are not there yet. */
  buckets?: readonly string[]
  /** The limit of the link, shared by all connections, for each direction by itself. */
  bytesPerSecond?: number
}

export interface RequestRecord {
  method: string
  /** With the query, as sent. */
  path: string
  /** 0 when the connection ended before there was a reply. */
  status: number
  /** Sent in reply, headers included. */
  bytes: number
}

export interface S3Server {
  /** `http://127.0.0.1:port`; for path style. */
  readonly endpoint: string
  readonly port: number
  readonly faults: Faults
  /** The latest requests, oldest first, as they ended. */
  readonly requests: readonly RequestRecord[]
  /** Undefined: as fast as it goes. */
  setRate(bytesPerSecond: number | undefined): void
  /** Cuts all connections; resolves when the port is free. */
  close(): Promise<void>
}

const mostRecords = 10_000
const keepAliveMs = 75_000

/**
 * A strict S3 server on 127.0.0.1. Everything that a client promises (signature, length, checksums, conditions) is checked, and what
 * is wrong is refused as AWS refuses it. Bodies are streamed to and from disk; memory holds only the index.
 */
export async function startS3Server(options: S3ServerOptions): Promise<S3Server> {
  const environment = environmentOf(options)
  const requests: RequestRecord[] = []
  const running = new Set<Promise<void>>()
  const server = httpServer(environment, requests, running)
  server.listen(options.port ?? 0, '127.0.0.1')
  await once(server, 'listening')
  const {port} = server.address() as AddressInfo
  return {
    endpoint: `http://127.0.0.1:${port}`,
    port,
    faults: environment.faults,
    requests,
    setRate(bytesPerSecond) {
      environment.link.setRate(bytesPerSecond)
    },
    async close() {
      const closed = once(server, 'close')
      server.close()
      server.closeAllConnections()
      await Promise.all([closed, ...running])
    },
  }
}

function environmentOf({directory, credentials, region = 'us-east-1', buckets = [], bytesPerSecond}: S3ServerOptions): Environment {
  const store = new Store(directory)
  for (const name of buckets) {
    checkBucketName(name)
    if (!store.buckets.has(name)) store.create(name)
  }
  return {store, credentials, region, link: new Link(bytesPerSecond), faults: new Faults()}
}

function httpServer(environment: Environment, requests: RequestRecord[], running: Set<Promise<void>>): Server {
  const answer = (request: IncomingMessage, response: ServerResponse) => {
    const {socket} = request
    const before = socket.bytesWritten
    response.once('close', () => {
      if (requests.length === mostRecords) requests.shift()
      requests.push({method: request.method ?? '', path: request.url ?? '', status: response.headersSent ? response.statusCode : 0, bytes: socket.bytesWritten - before})
    })
    const work = handle(environment, request, response).finally(() => running.delete(work))
    running.add(work)
  }
  const server = createServer({keepAliveTimeout: keepAliveMs, requestTimeout: 0, highWaterMark: 1024 ** 2, noDelay: true}, answer)
  return server.on('checkContinue', answer)
}
