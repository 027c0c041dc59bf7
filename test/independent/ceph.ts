import {execFile, spawn, type ChildProcess} from 'node:child_process'
import {randomBytes, randomUUID} from 'node:crypto'
import {existsSync} from 'node:fs'
import {mkdir, readdir, readFile, rm, writeFile} from 'node:fs/promises'
import {homedir} from 'node:os'
import {join} from 'node:path'
import {setTimeout as delay} from 'node:timers/promises'
import {promisify} from 'node:util'
import type {S3Connection} from '../support/s3.ts'
import {end, freePort} from './daemon.ts'
import {startVault} from './vault.ts'

const run = promisify(execFile)
const here = (file: string) => join(import.meta.dirname, file)

export const kmsKeyId = 'testkey-1'
const root = join(process.env.XDG_CACHE_HOME ?? join(homedir(), '.cache'), 'dashboarduz-dr', 'ceph')

/** One mon, one osd in memory, one gateway: a real cluster, as small as it gets, in a chroot on 127.0.0.1. */
export interface Ceph extends S3Connection {
  stop: () => Promise<void>
}

/** Installs what is missing (about a minute, root only) and starts a cluster of its own. */
export async function startCeph(): Promise<Ceph> {
  await run('bash', [here('install-ceph.sh'), root], {env: {...process.env, LC_ALL: 'C'}, maxBuffer: 64 * 1024 ** 2})
  await removeLeftovers()
  const cluster = new Cluster(`/srv/independent-${process.pid}-${randomBytes(4).toString('hex')}`)
  try {
    return await cluster.start()
  } catch (error) {
    await cluster.stop()
    throw error
  }
}

/** Folders of clusters whose test run was killed. */
async function removeLeftovers(): Promise<void> {
  for (const name of await readdir(join(root, 'srv'))) {
    const pid = /^independent-(\d+)-/.exec(name)?.[1]
    if (pid !== undefined && !existsSync(`/proc/${pid}`)) await rm(join(root, 'srv', name), {recursive: true, force: true})
  }
}

class Cluster {
  /** Inside the chroot. */
  readonly #folder: string
  readonly #daemons: ChildProcess[] = []
  #vault: {close(): Promise<void>} | undefined

  constructor(folder: string) {
    this.#folder = folder
  }

  async start(): Promise<Ceph> {
    const port = await freePort()
    await this.#configure()
    await this.#startMonitor()
    await this.#startStore()
    await this.#startGateway(port)
    const [accessKeyId, secretAccessKey] = [randomBytes(10).toString('hex').toUpperCase(), randomBytes(20).toString('hex')]
    await this.#tool('radosgw-admin', 'user', 'create', '--uid=contract', '--display-name=contract', `--access-key=${accessKeyId}`, `--secret-key=${secretAccessKey}`)
    return {endpoint: `http://127.0.0.1:${port}`, region: 'us-east-1', accessKeyId, secretAccessKey, kmsKeyId, stop: () => this.stop()}
  }

  /** The gateway first: it takes long to notice that the others are gone. */
  async stop(): Promise<void> {
    for (const daemon of this.#daemons.toReversed()) await end(daemon)
    await this.#vault?.close()
    await rm(root + this.#folder, {recursive: true, force: true})
  }

  async #configure(): Promise<void> {
    const vault = await startVault()
    this.#vault = vault
    for (const name of ['mon', 'osd', 'run', 'log']) await mkdir(join(root + this.#folder, name), {recursive: true})
    const values: Record<string, string> = {fsid: randomUUID(), folder: this.#folder, vault: vault.endpoint, kmsKeyId, monPort: String(await freePort()), monPortV1: String(await freePort())}
    const template = await readFile(here('ceph.conf.template'), 'utf8')
    const configuration = template.replaceAll(/@(\w+)@/g, (_, name: string) => values[name] ?? '')
    await writeFile(join(root + this.#folder, 'ceph.conf'), configuration)
    await writeFile(join(root + this.#folder, 'vault.token'), 'token', {mode: 0o600})
    await this.#keys(values)
  }

  async #keys({fsid = '', monPort = '', monPortV1 = ''}: Record<string, string>): Promise<void> {
    const [keyring, map] = [`${this.#folder}/keyring`, `${this.#folder}/monmap`]
    await this.#tool('monmaptool', '--create', '--addv', 'a', `[v2:127.0.0.1:${monPort},v1:127.0.0.1:${monPortV1}]`, '--fsid', fsid, '--clobber', map)
    await this.#tool('ceph-authtool', '--create-keyring', keyring, '--gen-key', '-n', 'mon.', '--cap', 'mon', 'allow *')
    await this.#tool('ceph-authtool', keyring, '--gen-key', '-n', 'client.admin', '--cap', 'mon', 'allow *', '--cap', 'osd', 'allow *', '--cap', 'mds', 'allow *', '--cap', 'mgr', 'allow *')
    await this.#tool('ceph-mon', '--mkfs', '-i', 'a', '--monmap', map, '--keyring', keyring)
  }

  async #startMonitor(): Promise<void> {
    this.#daemon('ceph-mon', '-i', 'a')
    await this.#until('the monitor answers', () => this.#tool('ceph', '-s'))
  }

  async #startStore(): Promise<void> {
    const id = randomUUID()
    const keyring = `${this.#folder}/osd.keyring`
    await this.#tool('ceph', 'osd', 'new', id)
    await this.#tool('ceph', 'auth', 'get-or-create', 'osd.0', 'mon', 'allow profile osd', 'osd', 'allow *', '-o', keyring)
    await this.#tool('ceph-osd', '--keyring', keyring, '-i', '0', '--mkfs', '--osd-uuid', id)
    this.#daemon('ceph-osd', '--keyring', keyring, '-i', '0')
    await this.#until('the object store is up', async () => {
      if (!(await this.#tool('ceph', 'osd', 'stat')).includes('1 up')) throw new Error('not up yet')
    })
  }

  async #startGateway(port: number): Promise<void> {
    this.#daemon('radosgw', '-n', 'client.admin', `--rgw-frontends=beast endpoint=127.0.0.1:${port}`)
    await this.#until('the gateway answers', () => fetch(`http://127.0.0.1:${port}/`))
  }

  async #tool(name: string, ...args: readonly string[]): Promise<string> {
    const {stdout} = await run('chroot', [root, name, '-c', `${this.#folder}/ceph.conf`, ...args], {timeout: 60_000, env: {...process.env, LC_ALL: 'C'}})
    return stdout
  }

  /** A daemon in the foreground of its own process; it dies with this one, however that ends. */
  #daemon(name: string, ...args: readonly string[]): void {
    const argv = ['--pdeathsig', 'KILL', 'chroot', root, name, '-c', `${this.#folder}/ceph.conf`, '-f', ...args]
    this.#daemons.push(spawn('setpriv', argv, {stdio: 'ignore', env: {...process.env, LC_ALL: 'C'}}))
  }

  async #until(what: string, probe: () => Promise<unknown>): Promise<void> {
    for (const deadline = Date.now() + 60_000; ; ) {
      const problem = await probe().then(() => undefined, (error: unknown) => error)
      if (problem === undefined) return
      const dead = this.#daemons.find(({exitCode, signalCode}) => exitCode !== null || signalCode !== null)
      if (dead || Date.now() > deadline) throw new Error(`Ceph did not start: waited until ${what}. Its logs are in ${root}${this.#folder}/log.`, {cause: problem})
      await delay(200)
    }
  }
}
