import {RDSClient} from '@aws-sdk/client-rds'
import {mkdtemp} from 'node:fs/promises'
import {tmpdir} from 'node:os'
import {join} from 'node:path'
import {fileURLToPath} from 'node:url'
import {requireServerBinaries} from '../../src/lib/sandbox/cluster/binaries.ts'
import type {Instance} from '../../src/lib/sandbox/rds/instance.ts'
import type {RegionOptions} from '../../src/lib/sandbox/rds/region.ts'
import {startRdsServer, type RdsServer} from '../../src/lib/sandbox/rds/server.ts'
import {guard} from './guard.ts'
import {realNetwork} from './s3.ts'

const MAJOR = 17
const root = fileURLToPath(new URL('../..', import.meta.url))
export const rdsCredentials = {accessKeyId: 'RDSTESTKEY', secretAccessKey: 'rds/test+secret'}

export interface TestRds {
  server: RdsServer
  client: RDSClient
  /** Of the cluster behind the instance, by the address that clients know. */
  url(instance: Instance, database?: string): string
  /** Where everything but the clusters is kept, with `isKept`. */
  file: string
  /** Another server on what the former one has kept; that one must have left. */
  reopen(): Promise<void>
  close(): Promise<void>
}

/** An RDS server of the sandbox and a client of the real SDK. Its minute takes 60 times `millisecondsPerSecond`. */
export async function testRds({millisecondsPerSecond = 2, isKept = false, ...options}: Pick<RegionOptions, 'millisecondsPerSecond' | 'instanceQuota'> & {isKept?: boolean} = {}): Promise<TestRds> {
  const blocked = realNetwork()
  const directory = await mkdtemp(join(tmpdir(), 'dr-test-rds-'))
  const release = guard(END_ALL, directory)
  const binaries = await requireServerBinaries({directory: `${root}/node_modules/postgres-${MAJOR}/native/bin`, major: MAJOR})
  const file = join(directory, 'region.json')
  const start = (port = 0) => startRdsServer({...options, ...(isKept && {file}), port, directory, credentials: rdsCredentials, millisecondsPerSecond, binaries: {...binaries, source: 'package'}, serverSettings: {shared_buffers: '16MB', max_connections: '20'}})
  let server = await start()
  const client = new RDSClient({region: 'us-east-1', endpoint: server.endpoint, credentials: rdsCredentials, maxAttempts: 1})
  return {
    client, file,
    get server() { return server },
    async reopen() { server = await start(server.port) },
    url(instance, database = 'postgres') {
      const url = new URL(instance.cluster?.cluster.url(database) ?? '')
      url.port = String(instance.port)
      return url.href
    },
    async close() {
      client.destroy()
      await server.close()
      blocked()
      release()
    },
  }
}

/** Ends the servers of every cluster below the folder, and removes it. */
export const END_ALL = 'for lock in "$1"/*/data/postmaster.pid; do [ -e "$lock" ] && kill -QUIT "$(head -n 1 "$lock")"; done; for _ in $(seq 100); do ls "$1"/*/data/postmaster.pid >/dev/null 2>&1 && sleep 0.1; done; rm -rf "$1"'
