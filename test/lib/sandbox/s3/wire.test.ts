import {randomBytes} from 'node:crypto'
import {once} from 'node:events'
import {connect} from 'node:net'
import {crc32} from 'node:zlib'
import {AbortMultipartUploadCommand, CreateMultipartUploadCommand, GetObjectCommand, HeadObjectCommand} from '@aws-sdk/client-s3'
import {expect} from 'chai'
import {s3ForTests, type S3ForTests} from '../../../support/s3.ts'
import {until} from '../../../support/until.ts'
import {bytesOf} from './contract/world.ts'
import {emptyHash, send, sign, signedChunks, type Answer, type Signing} from './signed-request.ts'

const signedPayload = 'STREAMING-AWS4-HMAC-SHA256-PAYLOAD'
/** More than the server's have. */
const HEADERS_BYTES = 2000

describe('the S3 server on the wire', () => {
  let s3: S3ForTests
  before(async () => {
    s3 = await s3ForTests()
  })
  after(() => s3.close())

  const signing = (fields: Partial<Signing>): Signing => ({method: 'PUT', path: `/${s3.bucket}/x`, payload: 'UNSIGNED-PAYLOAD', endpoint: s3.endpoint, region: s3.region, ...s3.credentials, ...fields})
  const put = (fields: Partial<Signing>, body: Buffer, unsigned: Record<string, string> = {}): Promise<Answer> => {
    const spec = signing(fields)
    return send(s3.endpoint, {method: spec.method, path: spec.path, headers: {...sign(spec).headers, 'content-length': String(body.length), ...unsigned}, body})
  }
  const stored = async (Key: string) => bytesOf(await s3.client.send(new GetObjectCommand({Bucket: s3.bucket, Key})))
  const codeOf = ({body}: Answer) => /<Code>(.*)<\/Code>/.exec(body)?.[1]

  async function putChunks(key: string, payload: string, trailers: Record<string, string>, tamper: (body: Buffer) => Buffer = (body) => body): Promise<Answer & {content: Buffer}> {
    const content = randomBytes(100_000)
    const names = Object.keys(trailers)
    const spec = signing({path: `/${s3.bucket}/${key}`, payload, headers: {'x-amz-decoded-content-length': String(content.length), ...(names.length > 0 ? {'x-amz-trailer': names.join(',')} : {})}})
    const signed = sign(spec)
    if (names.includes('x-amz-checksum-crc32')) trailers['x-amz-checksum-crc32'] ||= Buffer.from(crc32(content).toString(16).padStart(8, '0'), 'hex').toString('base64')
    const body = tamper(signedChunks(signed, [content.subarray(0, 65_536), content.subarray(65_536)], trailers))
    return {...(await send(s3.endpoint, {method: 'PUT', path: spec.path, headers: {...signed.headers, 'content-length': String(body.length)}, body})), content}
  }

  it('takes a body of signed chunks', async () => {
    const {status, content} = await putChunks('chunks', signedPayload, {})
    expect(status).to.equal(200)
    expect((await stored('chunks')).equals(content)).to.be.true
  })

  it('takes signed chunks with a signed trailer, and keeps the checksum in it', async () => {
    const trailers = {'x-amz-checksum-crc32': ''}
    const {status, content} = await putChunks('trailer', `${signedPayload}-TRAILER`, trailers)
    expect(status).to.equal(200)
    expect((await stored('trailer')).equals(content)).to.be.true
    const head = await s3.client.send(new HeadObjectCommand({Bucket: s3.bucket, Key: 'trailer', ChecksumMode: 'ENABLED'}))
    expect(head.ChecksumCRC32).to.equal(trailers['x-amz-checksum-crc32'])
  })

  it('refuses a changed byte in a signed chunk, and a wrong checksum in a trailer', async () => {
    const changed = await putChunks('changed', signedPayload, {}, (body) => Buffer.concat([body.subarray(0, 500), Buffer.from([(body.at(500) ?? 0) ^ 1]), body.subarray(501)]))
    expect([changed.status, codeOf(changed)]).to.deep.equal([403, 'SignatureDoesNotMatch'])
    const wrong = await putChunks('wrong', `${signedPayload}-TRAILER`, {'x-amz-checksum-crc32': 'AAAAAA=='})
    expect([wrong.status, codeOf(wrong)]).to.deep.equal([400, 'BadDigest'])
  })

  it('refuses a chunked body without its decoded length', async () => {
    const answer = await put({payload: 'STREAMING-UNSIGNED-PAYLOAD-TRAILER', headers: {'x-amz-trailer': 'x-amz-checksum-crc32'}}, Buffer.from('0\r\n\r\n'))
    expect([answer.status, codeOf(answer)]).to.deep.equal([411, 'MissingContentLength'])
  })

  it('refuses an x-amz header that is not signed', async () => {
    const answer = await put({}, Buffer.from('x'), {'x-amz-meta-forged': '1'})
    expect([answer.status, codeOf(answer)]).to.deep.equal([403, 'AccessDenied'])
  })

  it('refuses a signature for another region or of another day', async () => {
    const region = await put({region: 'us-west-2'}, Buffer.from('x'))
    expect([region.status, codeOf(region)]).to.deep.equal([400, 'AuthorizationHeaderMalformed'])
    const old = await put({at: new Date(Date.now() - 86_400_000)}, Buffer.from('x'))
    expect([old.status, codeOf(old)]).to.deep.equal([403, 'RequestTimeTooSkewed'])
  })

  it('refuses a payload hash that is none, and one that is missing', async () => {
    const answer = await put({payload: 'nonsense'}, Buffer.from('x'))
    expect([answer.status, codeOf(answer)]).to.deep.equal([400, 'InvalidArgument'])
  })

  it('signs user metadata by its bytes', async () => {
    const value = Buffer.from('größe ✓').toString('latin1')
    const spec = signing({path: `/${s3.bucket}/meta`, headers: {'x-amz-meta-note': 'größe ✓'}})
    const headers = {...sign(spec).headers, 'x-amz-meta-note': value, 'content-length': '1'}
    expect((await send(s3.endpoint, {method: 'PUT', path: spec.path, headers, body: Buffer.from('x')})).status).to.equal(200)
  })

  it('answers by virtual host too', async () => {
    const endpoint = `http://${s3.bucket}.localhost:${s3.server.port}`
    const signed = sign(signing({method: 'GET', path: '/?list-type=2', endpoint, payload: emptyHash}))
    const answer = await send(s3.endpoint, {method: 'GET', path: '/?list-type=2', headers: signed.headers})
    expect([answer.status, answer.body.includes(`<Name>${s3.bucket}</Name>`)]).to.deep.equal([200, true])
  })

  it('encodes listed keys when asked', async () => {
    await put({path: `/${s3.bucket}/enc/a%20b%26%C3%A9`}, Buffer.from('x'))
    const path = `/${s3.bucket}?encoding-type=url&list-type=2&prefix=enc%2F`
    const answer = await send(s3.endpoint, {method: 'GET', path, headers: sign(signing({method: 'GET', path, payload: emptyHash})).headers})
    expect(answer.body).to.include('<Key>enc/a+b%26%C3%A9</Key>').and.include('<EncodingType>url</EncodingType>')
  })

  it('asks for the body only of a request that it accepts', async () => {
    const expecting = (key: string, secretAccessKey: string) => {
      const spec = signing({path: `/${s3.bucket}/${key}`, secretAccessKey})
      const headers = {...sign(spec).headers, 'content-length': '1000000', expect: '100-continue'}
      let asked = false
      const answer = send(s3.endpoint, {method: 'PUT', path: spec.path, headers}, (sent) => {
        sent.on('continue', () => {
          asked = true
          sent.end(Buffer.alloc(1_000_000))
        })
        sent.flushHeaders()
      })
      return answer.then(({status}) => ({status, asked}))
    }
    expect(await expecting('expect-bad', 'wrong')).to.deep.equal({status: 403, asked: false})
    expect(await expecting('expect-good', s3.credentials.secretAccessKey)).to.deep.equal({status: 200, asked: true})
  })

  it('refuses a part whose upload was aborted while its bytes came in', async () => {
    const object = {Bucket: s3.bucket, Key: 'late'}
    const {UploadId = ''} = await s3.client.send(new CreateMultipartUploadCommand(object))
    const spec = signing({path: `/${s3.bucket}/late?partNumber=1&uploadId=${UploadId}`})
    const headers = {...sign(spec).headers, 'content-length': '5', expect: '100-continue'}
    const answer = await send(s3.endpoint, {method: 'PUT', path: spec.path, headers}, (sent) => {
      sent.on('continue', () => void s3.client.send(new AbortMultipartUploadCommand({...object, UploadId})).then(() => sent.end('bytes')))
      sent.flushHeaders()
    })
    expect([answer.status, codeOf(answer)]).to.deep.equal([404, 'NoSuchUpload'])
  })

  it('stores nothing when the connection breaks in the middle of a body', async () => {
    const spec = signing({path: `/${s3.bucket}/broken`})
    const socket = connect(s3.server.port, '127.0.0.1')
    const headers = Object.entries({...sign(spec).headers, 'content-length': '1000'}).map(([name, value]) => `${name}: ${value}\r\n`)
    socket.end(`PUT ${spec.path} HTTP/1.1\r\n${headers.join('')}\r\n${'x'.repeat(500)}`)
    socket.resume()
    await once(socket, 'close')
    const head = await s3.client.send(new HeadObjectCommand({Bucket: s3.bucket, Key: 'broken'})).then(() => 'stored', (error: unknown) => (error as Error).name)
    expect(head).to.equal('NotFound')
  })

  it('says what it does not implement', async () => {
    const path = `/${s3.bucket}?acl`
    const answer = await send(s3.endpoint, {method: 'GET', path, headers: sign(signing({method: 'GET', path, payload: emptyHash})).headers})
    expect([answer.status, codeOf(answer)]).to.deep.equal([501, 'NotImplemented'])
  })

  it('records its requests, with the bytes that it sent', async () => {
    const record = (part: string) => s3.server.requests.find(({method, path}) => method === 'GET' && path.includes(part))
    expect(record('?acl')).to.include({path: `/${s3.bucket}?acl`, status: 501})
    const {content} = await putChunks('counted', signedPayload, {})
    await stored('counted')
    await until(() => record('/counted') !== undefined)
    expect(record('/counted')?.bytes).to.be.within(content.length + 1, content.length + HEADERS_BYTES)
  })
})
