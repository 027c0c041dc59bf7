import {randomBytes} from 'node:crypto'
import type {IncomingMessage, ServerResponse} from 'node:http'
import {text} from 'node:stream/consumers'
import {setTimeout as delay} from 'node:timers/promises'
import {changeRules, faultsPath, secretHeader} from '../fault-rules.ts'
import {Exchange, owner, type Reply, type Target} from './exchange.ts'
import {isFaultAction, type Faults} from './faults.ts'
import {CutConnection, Line} from './line.ts'
import type {Link} from './link.ts'
import {findRoute, type Route} from './operations.ts'
import {sendError, sendReply} from './reply.ts'
import {S3Error, s3Error} from './s3-error.ts'
import {authenticate, sameText, type Credentials} from './signature.ts'
import type {Store} from './store.ts'
import {parseTarget} from './target.ts'

export interface Environment {
  store: Store
  credentials: Credentials
  region: string
  link: Link
  faults: Faults
}

/** Answers one request; never rejects. */
export async function handle(environment: Environment, request: IncomingMessage, response: ServerResponse): Promise<void> {
  const line = new Line(response, environment.link)
  const requestId = randomBytes(8).toString('hex').toUpperCase()
  response.setHeader('x-amz-request-id', requestId)
  const facts: {bucket?: string; key?: string; requestId: string} = {requestId}
  try {
    if (request.url === faultsPath) {
      await answerFaults(environment, line, request)
      return
    }
    const target = parseTarget(request)
    if (target.bucket !== '') facts.bucket = target.bucket
    if (target.key !== '') facts.key = target.key
    await sendReply(line, await perform(environment, line, target, request))
  } catch (error) {
    await fail(line, error, facts)
  }
}

async function perform(environment: Environment, line: Line, target: ReturnType<typeof parseTarget>, request: IncomingMessage): Promise<Reply> {
  const {store, region, credentials} = environment
  const signature = authenticate(request, target.signed, credentials, region)
  const exchange = new Exchange({request, line, target, store, region, signature})
  const expectedOwner = exchange.header('x-amz-expected-bucket-owner')
  if (expectedOwner !== undefined && expectedOwner !== owner.account) throw s3Error('AccessDenied', 'Access Denied')
  const route = routeOf(request, target)
  await suffer(environment, line, target, route, request.method ?? '')
  return route.run(exchange)
}

function routeOf(request: IncomingMessage, target: Target): Route {
  const route = findRoute({...target, method: request.method ?? '', copySource: request.headers['x-amz-copy-source'] !== undefined})
  if (!route) throw s3Error('NotImplemented', 'A header or query you provided implies functionality that is not implemented')
  return route
}

/** The fault that meets this request, as far as it comes before the work. */
async function suffer({faults}: Environment, line: Line, {key}: Target, {name}: Route, method: string): Promise<void> {
  const fault = faults.take({method, key, operation: name})
  line.fault = fault
  if (!fault) return
  if ('status' in fault) throw new S3Error(fault.code, fault.message ?? 'A fault by switch.', fault.status)
  if ('hangMs' in fault) await delay(fault.hangMs, undefined, {signal: line.signal})
}

async function fail(line: Line, error: unknown, facts: {bucket?: string; key?: string; requestId: string}): Promise<void> {
  const {response} = line
  if (error instanceof CutConnection || response.headersSent || line.signal.aborted) {
    response.destroy()
    return
  }
  try {
    await sendError(line, error, facts)
  } catch {
    response.destroy()
  }
}

async function answerFaults({faults, credentials}: Environment, line: Line, request: IncomingMessage): Promise<void> {
  const secret = request.headers[secretHeader]
  if (typeof secret !== 'string' || !sameText(secret, credentials.secretAccessKey)) throw s3Error('AccessDenied', 'Access Denied')
  line.beginBody()
  if (!changeRules(faults, request.method, await text(request), isFaultAction)) throw s3Error('InvalidArgument', 'Faults are a JSON list of {match, times, action}.')
  line.response.setHeader('content-type', 'application/json').end(JSON.stringify(faults.rules))
}
