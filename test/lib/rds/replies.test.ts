import {expect} from 'chai'
import {once} from 'node:events'
import {createServer} from 'node:http'
import type {AddressInfo} from 'node:net'
import nock from 'nock'
import {RdsApi} from '../../../src/lib/rds/api.ts'
import {createRdsClient} from '../../../src/lib/rds/client.ts'
import {isThrottled} from '../../../src/lib/rds/faults.ts'
import {untilReady} from '../../../src/lib/rds/poller.ts'
import {drErrorOf} from '../../support/rejection.ts'
import {realNetwork} from '../../support/s3.ts'

const signal = new AbortController().signal
const NUMBERED = {'x-amzn-requestid': '8a2e5f7c-0000-4000-8000-000000000000'}

const reply = (action: string, result: string) =>
  `<${action}Response xmlns="http://rds.amazonaws.com/doc/2014-10-31/"><${action}Result>${result}</${action}Result><ResponseMetadata><RequestId>r</RequestId></ResponseMetadata></${action}Response>`
const refusal = (code: string, message: string) =>
  `<ErrorResponse xmlns="http://rds.amazonaws.com/doc/2014-10-31/"><Error><Type>Sender</Type><Code>${code}</Code><Message>${message}</Message></Error><RequestId>r</RequestId></ErrorResponse>`
const instances = (names: readonly string[], more = '') => reply('DescribeDBInstances', `${more}<DBInstances>${names.map((name) => `<DBInstance><DBInstanceIdentifier>${name}</DBInstanceIdentifier></DBInstance>`).join('')}</DBInstances>`)

/** Replies that neither the sandbox nor moto gives. */
describe('RdsApi meets other replies', () => {
  const endpoint = 'https://rds.example.com'
  const kept = {...process.env}
  const apis: RdsApi[] = []
  const open = (attempts = 2, place = {endpoint, region: 'us-east-1'}) => {
    const api = new RdsApi(place, createRdsClient(place, attempts))
    apis.push(api)
    return api
  }
  const asked = (part: RegExp | ((body: Record<string, string>) => boolean) = /./) => nock(endpoint).post('/', typeof part === 'function' ? (body) => part(body as Record<string, string>) : part)

  before(() => {
    for (const name of Object.keys(process.env)) if (name.startsWith('AWS_')) Reflect.deleteProperty(process.env, name)
    Object.assign(process.env, {AWS_ACCESS_KEY_ID: 'AKIDOFTHETEST', AWS_SECRET_ACCESS_KEY: 'secret/of+the+test'})
  })
  after(() => {
    for (const name of Object.keys(process.env)) if (!(name in kept)) Reflect.deleteProperty(process.env, name)
    Object.assign(process.env, kept)
  })
  afterEach(() => {
    for (const api of apis.splice(0)) api.close()
    expect(nock.pendingMocks()).to.deep.equal([])
    nock.cleanAll()
  })

  it('follows every page, with the marker as it was given', async () => {
    asked(({Marker}) => Marker === undefined).reply(200, instances(['a', 'b'], '<Marker>one &amp; two=/+</Marker>'), NUMBERED)
    asked(({Marker}) => Marker === 'one & two=/+').reply(200, instances([], '<Marker>3</Marker>'), NUMBERED)
    asked(({Marker}) => Marker === '3').reply(200, instances(['c']), NUMBERED)
    expect((await open().instances(signal)).map(({DBInstanceIdentifier: id}) => id)).to.deep.equal(['a', 'b', 'c'])
  })

  it('has no list at all when one page fails', async () => {
    asked(({Marker}) => Marker === undefined).reply(200, instances(['a'], '<Marker>2</Marker>'), NUMBERED)
    asked(({Marker}) => Marker === '2').reply(403, refusal('AccessDenied', 'm'), NUMBERED)
    expect((await drErrorOf(open().instances(signal))).code).to.equal('rds.denied')
  })

  it('asks again where AWS asks to slow down, and says so when that is all it says', async () => {
    asked().reply(400, refusal('Throttling', 'Rate exceeded'), NUMBERED)
    asked().reply(200, instances(['crm']), NUMBERED)
    expect(await open().instances(signal)).to.have.length(1)
    asked().times(2).reply(400, refusal('Throttling', 'Rate exceeded'), NUMBERED)
    const error = await drErrorOf(open().instances(signal))
    expect(error).to.include({code: 'rds.throttled', exitCode: 5})
    expect(isThrottled(error)).to.equal(true)
  })

  it('asks again after a 503, of RDS and of what stands before it, and names it when it stays', async () => {
    asked().reply(503, refusal('ServiceUnavailable', 'Service is unavailable.'), NUMBERED)
    asked().reply(503, '<html><h1>503 Service Temporarily Unavailable</h1></html>')
    asked().reply(200, instances(['crm']), NUMBERED)
    expect(await open(3).instances(signal)).to.have.length(1)
    asked().times(2).reply(503, 'upstream connect error')
    const error = await drErrorOf(open().instances(signal))
    expect(error).to.include({code: 'rds.unreachable', exitCode: 5, message: `${endpoint} cannot be reached: it answered 503, not as RDS does`})
  })

  it('takes no page of a proxy for an answer: no instance is gone because of it', async () => {
    for (const [status, body] of [[200, '<html><body>Sign in to the network</body></html>'], [200, ''], [200, instances([])], [403, '<html>Forbidden</html>'], [413, 'Request too large']] as const) {
      asked().reply(status, body)
      expect(await drErrorOf(open(1).instance('crm', signal)), body).to.include({code: 'rds.unreachable', exitCode: 5})
    }
    // It is borne for a while, as a network that is gone for a moment.
    asked().times(1000).reply(200, '<html/>')
    let at = 0
    const clock = {now: () => at, pause: (ms: number) => { at += ms; return Promise.resolve() }, random: () => 0}
    const api = open(1)
    expect((await drErrorOf(untilReady({look: (one) => api.instance('crm', one), gone: true, clock, signal, budgetMs: 3_600_000, onChange() {}}))).code).to.equal('rds.unreachable')
    expect(at).to.be.within(60_000, 600_000)
    nock.cleanAll()
  })

  it('fails on a reply whose end is missing', async () => {
    const body = instances(['crm'])
    asked().reply(200, body.slice(0, -60), NUMBERED)
    const error = await drErrorOf(open(1).instances(signal))
    expect(error).to.include({code: 'rds.unreachable', exitCode: 5})
    expect(error.message).to.equal(`${endpoint} cannot be reached: its reply is no whole XML: unexpected end of input.`)
  })

  it('fails on a connection that is cut in the middle of a reply, and on one that is cut before', async () => {
    const blocked = realNetwork()
    let requests = 0
    const server = createServer((request, response) => {
      request.resume().on('end', () => {
        requests += 1
        response.writeHead(200, {...NUMBERED, 'content-length': '5000'}).write('<DescribeDBInstancesResponse>', () => { response.destroy() })
      })
    }).listen(0, '127.0.0.1')
    await once(server, 'listening')
    try {
      const error = await drErrorOf(open(2, {endpoint: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, region: 'us-east-1'}).instances(signal))
      expect(error).to.include({code: 'rds.unreachable', exitCode: 5})
      expect(requests).to.be.above(0)
    } finally {
      server.closeAllConnections()
      server.close()
      blocked()
    }
    asked().replyWithError(Object.assign(new Error('read ECONNRESET'), {code: 'ECONNRESET'}))
    asked().reply(200, instances(['crm']), NUMBERED)
    expect(await open().instances(signal)).to.have.length(1)
    asked().times(2).replyWithError(Object.assign(new Error('read ECONNRESET'), {code: 'ECONNRESET'}))
    expect((await drErrorOf(open().instances(signal))).message).to.contain('ECONNRESET')
  })

  it('reads a reply with more in it than the SDK knows, and with less', async () => {
    asked().reply(200, reply('DescribeDBInstances', '<Novelty><a>1</a></Novelty><DBInstances><DBInstance><DBInstanceIdentifier>crm</DBInstanceIdentifier><QuantumMode>on</QuantumMode><MultiAZ>true</MultiAZ><DBInstanceStatus>pondering</DBInstanceStatus></DBInstance></DBInstances>'), NUMBERED)
    const found = await open().instance('crm', signal)
    expect(found).to.include({DBInstanceIdentifier: 'crm', MultiAZ: true, DBInstanceStatus: 'pondering'})
    asked().reply(200, reply('DescribeDBInstances', '<DBInstances><DBInstance/></DBInstances>'), NUMBERED)
    expect(await open().instances(signal)).to.have.length(1)
  })

  it('says that the session has expired, without asking again', async () => {
    for (const code of ['ExpiredToken', 'ExpiredTokenException']) {
      asked().reply(403, refusal(code, 'The security token included in the request is expired'), NUMBERED)
      const error = await drErrorOf(open().instances(signal))
      expect(error).to.include({code: 'rds.credentials', exitCode: 5, message: 'The session of the AWS credentials has expired.'})
    }
    asked().reply(403, refusal('InvalidClientTokenId', 'The security token included in the request is invalid.'), NUMBERED)
    expect((await drErrorOf(open().instances(signal))).message).to.equal('AWS does not take the credentials (InvalidClientTokenId).')
  })

  it('says who may not do what to what, in each wording of AWS', async () => {
    const user = 'arn:aws:sts::123456789012:assumed-role/dr-pitr/ann'
    const resource = 'arn:aws:rds:us-east-1:123456789012:db:crm'
    const wordings: [string, string][] = [
      [`User: ${user} is not authorized to perform: rds:ModifyDBInstance on resource: ${resource} because no identity-based policy allows the rds:ModifyDBInstance action`, `AWS denies rds:ModifyDBInstance on ${resource} to ${user}.`],
      [`User: ${user} is not authorized to perform: rds:ModifyDBInstance on resource: ${resource} with an explicit deny in a service control policy`, `AWS denies rds:ModifyDBInstance on ${resource} to ${user}.`],
      [`User: ${user} is not authorized to perform: iam:PassRole on resource: arn:aws:iam::123456789012:role/rds-monitoring because no identity-based policy allows the iam:PassRole action`, `AWS denies iam:PassRole on arn:aws:iam::123456789012:role/rds-monitoring to ${user}.`],
      ['Access denied', 'AWS denies rds:ModifyDBInstance.'],
    ]
    for (const [said, told] of wordings) {
      asked().reply(403, refusal('AccessDenied', said), NUMBERED)
      expect(await drErrorOf(open().modify({DBInstanceIdentifier: 'crm', MultiAZ: true}, signal)), said).to.include({code: 'rds.denied', exitCode: 5, message: told})
    }
  })

  it('goes by the clock of AWS where its own is wrong, and says that it is when that does not help', async () => {
    const theirs = new Date(Date.now() + 3 * 3_600_000)
    const signedAt: string[] = []
    const noted = () => asked().matchHeader('x-amz-date', (at) => { signedAt.push(String(at)); return true })
    noted().reply(400, refusal('RequestExpired', 'Request has expired.'), {...NUMBERED, date: theirs.toUTCString()})
    noted().reply(200, instances(['crm']), NUMBERED)
    expect(await open().instances(signal)).to.have.length(1)
    expect(signedAt.at(-1)?.slice(0, 11)).to.equal(theirs.toISOString().replaceAll(/[-:]/g, '').slice(0, 11))
    for (const [code, said] of [['RequestExpired', 'Request has expired.'], ['SignatureDoesNotMatch', 'Signature expired: 20261122T000000Z is now earlier than 20261122T010000Z (20261122T011500Z - 15 min.)'], ['SignatureDoesNotMatch', 'Signature not yet current: 20261122T020000Z is still later than 20261122T010000Z']] as const) {
      asked().reply(403, refusal(code, said), NUMBERED)
      const error = await drErrorOf(open(1).instances(signal))
      expect(error, said).to.include({code: 'rds.credentials', exitCode: 5, message: 'This machine’s clock differs too much from that of AWS.'})
      expect(error.hints.join()).to.contain('timedatectl')
    }
  })
})
