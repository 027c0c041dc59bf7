import {randomUUID} from 'node:crypto'
import {once} from 'node:events'
import {createServer, type IncomingMessage, type ServerResponse} from 'node:http'
import type {AddressInfo} from 'node:net'
import {text} from 'node:stream/consumers'
import {setTimeout as pause} from 'node:timers/promises'
import {messageOf} from '../../errors.ts'
import {changeRules, faultsPath, secretHeader} from '../fault-rules.ts'
import {sameText, type Credentials} from '../s3/signature.ts'
import {endsAsOf} from './actions/action.ts'
import {ACTIONS} from './actions/all.ts'
import {errorDocument, resultDocument} from './document.ts'
import {isRdsFaultAction, RdsFaults, refusalBy} from './faults.ts'
import {Form} from './form.ts'
import type {Instance} from './instance.ts'
import {RdsError} from './rds-error.ts'
import {Region, type RegionOptions} from './region.ts'
import {authenticate} from './signature.ts'

export interface RdsServerOptions extends RegionOptions {
  credentials: Credentials
  /** 0 or nothing: a free one. */
  port?: number
}

export interface RdsServer {
  /** `http://127.0.0.1:port` */
  readonly endpoint: string
  readonly region: Region
  readonly faults: RdsFaults
  /** The latest requests, oldest first: what was asked, and the code of the refusal. */
  readonly requests: readonly {action: string; body: string; refused?: string}[]
  readonly port: number
  /** Ends the API alone: instances are for the next process to take over. */
  leave(): Promise<void>
  /** Ends the API and every instance. */
  close(): Promise<void>
}

const MOST_REQUESTS = 10_000
/** In the service's time. */
const ARCHIVE_SECONDS = 300
/** Each time fills a file of WAL, however fast the time of the service goes. */
const LEAST_ARCHIVE_MS = 400

/**
 * An RDS API on 127.0.0.1 (query protocol, version 2014-10-31) whose instances are PostgreSQL clusters here, and whose
 * point-in-time recovery really recovers them. A parameter that it does not know is refused, not ignored.
 */
export async function startRdsServer(options: RdsServerOptions): Promise<RdsServer> {
  const work = new RdsService(options, await Region.open(options))
  const server = createServer((request, response) => void work.answer(request, response))
  server.listen(options.port ?? 0, '127.0.0.1')
  await once(server, 'listening')
  const {port} = server.address() as AddressInfo
  const end = async () => {
    const closed = once(server, 'close')
    server.close()
    server.closeAllConnections()
    await closed
    await work.end()
  }
  return {
    endpoint: `http://127.0.0.1:${port}`, port, region: work.region, faults: work.faults, requests: work.requests,
    leave: () => end().then(() => work.region.leave()),
    close: () => end().then(() => work.region.close()),
  }
}

class RdsService {
  readonly region: Region
  readonly faults = new RdsFaults()
  readonly requests: {action: string; body: string; refused?: string}[] = []
  readonly #credentials: Credentials
  readonly #stop = new AbortController()
  readonly #archiving: Promise<void>

  constructor({credentials}: RdsServerOptions, region: Region) {
    this.region = region
    this.#credentials = credentials
    this.#archiving = this.#archive()
  }

  async answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const id = randomUUID()
    const body = await text(request).catch(() => '')
    if (request.url === faultsPath) {
      this.#answerFaults(request, body, response)
      return
    }
    const form = Form.parse(body)
    const record: RdsService['requests'][number] = {action: form.text('Action') ?? '', body: body.replace(/(?<=(?:^|&)MasterUserPassword=)[^&]*/, '****')}
    if (this.requests.length === MOST_REQUESTS) this.requests.shift()
    this.requests.push(record)
    response.setHeader('content-type', 'text/xml').setHeader('x-amzn-requestid', id)
    try {
      authenticate(request, body, this.#credentials, this.region.name)
      response.end(await this.#perform(record.action, form, id, response))
    } catch (error) {
      const refusal = error instanceof RdsError ? error : new RdsError('InternalFailure', messageOf(error), 500)
      record.refused = refusal.code
      response.statusCode = refusal.status
      response.end(errorDocument(refusal, id))
    }
  }

  async end(): Promise<void> {
    this.#stop.abort()
    await this.#archiving
  }

  #answerFaults(request: IncomingMessage, body: string, response: ServerResponse): void {
    const secret = request.headers[secretHeader]
    const isAllowed = typeof secret === 'string' && sameText(secret, this.#credentials.secretAccessKey)
    response.statusCode = !isAllowed ? 403 : changeRules(this.faults, request.method, body, isRdsFaultAction) ? 200 : 400
    response.setHeader('content-type', 'application/json').end(JSON.stringify(isAllowed ? this.faults.rules : []))
  }

  async #perform(name: string, form: Form, id: string, response: ServerResponse): Promise<string> {
    const action = ACTIONS[name]
    if (form.text('Version') !== '2014-10-31' || !action) throw new RdsError('InvalidAction', `Could not find operation ${name} for version ${form.text('Version') ?? ''}.`)
    const instance = form.text('DBInstanceIdentifier') ?? form.text('SourceDBInstanceIdentifier')
    const fault = this.faults.take({action: name, instance})
    if (fault && 'code' in fault) throw refusalBy(fault, name, this.region.arnOf(instance ?? '*'))
    const result = await action({region: this.region, form, endsAs: endsAsOf(fault)})
    form.assertAllRead()
    if (!/^(?:Describe|List)/.test(name)) this.region.save()
    if (fault && 'cutAfter' in fault) response.destroy()
    return resultDocument(name, result, id)
  }

  /** What is committed becomes restorable every five minutes, as in the service. */
  async #archive(): Promise<void> {
    const signal = this.#stop.signal
    while (!signal.aborted) {
      await pause(Math.max(LEAST_ARCHIVE_MS, ARCHIVE_SECONDS * this.region.millisecondsPerSecond), undefined, {signal}).catch(() => undefined)
      for (const instance of this.region.instances.values()) await this.#archiveOne(instance)
      this.region.save()
    }
  }

  /** Automated backups need an instance that is available: that is why the window stands still in a full one. */
  async #archiveOne(instance: Instance): Promise<void> {
    if (this.#stop.signal.aborted || instance.status !== 'available') return
    await instance.archive().catch(async (error: unknown) => {
      if (instance.status === 'available' && !(await this.region.revive(instance))) this.region.note(instance.id, messageOf(error), 'failure')
    })
  }
}
