import {expect} from 'chai'
import nock from 'nock'
import {S3Storage} from '../../../../src/lib/repository/storage/s3.ts'
import {drErrorOf} from '../../../support/rejection.ts'
import {credentials} from '../../../support/s3-storage.ts'
import {keysOf} from '../../../support/storage-contract-run.ts'

const xml = (body: string) => `<?xml version="1.0" encoding="UTF-8"?>${body}`
const page = (keys: string[], more = '') =>
  xml(`<ListBucketResult>${keys.map((key) => `<Contents><Key>${key}</Key><Size>1</Size><LastModified>2026-11-22T02:00:00.000Z</LastModified></Contents>`).join('')}${more}</ListBucketResult>`)

/** Answers that no server of ours gives. */
describe('S3Storage meets other answers', () => {
  const endpoint = 'https://s3.example.com'
  const bucket = /^\/b\/?$/
  const open = (options = {}) => new S3Storage({bucket: 'b', region: 'us-east-1', endpoint, forcePathStyle: true, retryDelayMs: 1, maxAttempts: 2, clientConfig: {credentials, expectContinueHeader: false}, ...options})
  const list = () => nock(endpoint).get(bucket).query(true)

  afterEach(() => {
    expect(nock.pendingMocks()).to.deep.equal([])
    nock.cleanAll()
  })

  it('goes through all pages, and leaves out what consoles make for folders', async () => {
    nock(endpoint).get(bucket).query(({'continuation-token': token}) => token === undefined).reply(200, page(['p/', 'p/a', 'p/b'], '<IsTruncated>true</IsTruncated><NextContinuationToken>here &amp; on</NextContinuationToken>'))
    nock(endpoint).get(bucket).query(({'continuation-token': token}) => token === 'here & on').reply(200, page(['p/c'], '<IsTruncated>false</IsTruncated>'))
    expect(await keysOf(open({prefix: 'p'}))).to.deep.equal(['a', 'b', 'c'])
  })

  it('fails on a page that says «more» and not where', async () => {
    list().reply(200, page(['a'], '<IsTruncated>true</IsTruncated>'))
    expect((await drErrorOf(keysOf(open()))).code).to.equal('storage.unreachable')
  })

  it('fails when a later page fails', async () => {
    list().reply(200, page(['a'], '<IsTruncated>true</IsTruncated><NextContinuationToken>x</NextContinuationToken>'))
    list().times(2).reply(500, xml('<Error><Code>InternalError</Code><Message>m</Message></Error>'))
    expect((await drErrorOf(keysOf(open()))).code).to.equal('storage.unreachable')
  })

  it('fails on an endpoint that is no S3', async () => {
    list().reply(404, '<html><body>nginx</body></html>')
    const error = await drErrorOf(open().check())
    expect(error.exitCode).to.equal(5)
    list().reply(403, 'Forbidden by proxy')
    expect((await drErrorOf(open().check())).code).to.equal('storage.denied')
  })

  it('names the region in which AWS says that the bucket is', async () => {
    list().reply(301, xml('<Error><Code>PermanentRedirect</Code><Message>m</Message><Endpoint>b.s3.eu-north-1.amazonaws.com</Endpoint></Error>'), {'x-amz-bucket-region': 'eu-north-1'})
    expect((await drErrorOf(open().check())).message).to.equal('The bucket b is in eu-north-1, not in us-east-1.')
    list().reply(400, xml("<Error><Code>AuthorizationHeaderMalformed</Code><Message>The authorization header is malformed; the region 'us-east-1' is wrong; expecting 'eu-north-1'</Message><Region>eu-north-1</Region></Error>"))
    expect((await drErrorOf(open().check())).message).to.contain('eu-north-1')
    nock(endpoint).head('/b/a').reply(400, undefined, {'x-amz-bucket-region': 'eu-north-1'})
    list().reply(400, xml('<Error><Code>AuthorizationHeaderMalformed</Code><Message>m</Message><Region>eu-north-1</Region></Error>'))
    expect((await drErrorOf(open().stat('a'))).code).to.equal('storage.wrong-region')
  })

  it('says that an object must be brought back from an archive', async () => {
    nock(endpoint).get('/b/a').query(true).reply(403, xml('<Error><Code>InvalidObjectState</Code><Message>m</Message></Error>'))
    const error = await drErrorOf(open().read('a'))
    expect(error.message).to.contain('archive storage class')
    expect(error.hints.join()).to.contain('restore-object')
  })

  it('notices a store that does not answer from where it was asked', async () => {
    nock(endpoint).get('/b/a').matchHeader('range', 'bytes=3-').query(true).reply(200, '0123456789', {'content-length': '10'})
    expect((await drErrorOf(open().read('a', {offset: 3}))).code).to.equal('storage.unreachable')
  })

  it('follows abandoned uploads over pages', async () => {
    const upload = (key: string) => `<Upload><Key>${key}</Key><UploadId>id-${key}</UploadId><Initiated>2026-11-01T00:00:00.000Z</Initiated></Upload>`
    const uploads = (body: string) => xml(`<ListMultipartUploadsResult>${body}</ListMultipartUploadsResult>`)
    nock(endpoint).get(bucket).query(({'key-marker': marker}) => marker === undefined).reply(200, uploads(`<IsTruncated>true</IsTruncated><NextKeyMarker>a</NextKeyMarker><NextUploadIdMarker>1</NextUploadIdMarker>${upload('a')}`))
    nock(endpoint).get(bucket).query(({'key-marker': key, 'upload-id-marker': id}) => key === 'a' && id === '1').reply(200, uploads(`<IsTruncated>false</IsTruncated>${upload('b')}`))
    expect((await open().abandonedUploads(0)).map(({key}) => key)).to.deep.equal(['a', 'b'])
  })

  describe('without credentials', () => {
    const saved = {...process.env}
    beforeEach(() => {
      for (const name of Object.keys(process.env)) if (name.startsWith('AWS_')) Reflect.deleteProperty(process.env, name)
      Object.assign(process.env, {AWS_EC2_METADATA_DISABLED: 'true', AWS_SHARED_CREDENTIALS_FILE: '/nonexistent/credentials', AWS_CONFIG_FILE: '/nonexistent/config'})
    })
    afterEach(() => {
      for (const name of Object.keys(process.env)) if (!(name in saved)) Reflect.deleteProperty(process.env, name)
      Object.assign(process.env, saved)
    })

    it('says that there are none', async () => {
      const error = await drErrorOf(open({clientConfig: {}}).check())
      expect(error.code).to.equal('storage.denied')
      expect(error.message).to.equal('No AWS credentials were found.')
      expect(error.hints.join()).to.contain('AWS_PROFILE')
    })

    it('says which profile is unknown', async () => {
      expect((await drErrorOf(open({clientConfig: {}, profile: 'nobody'}).check())).message).to.contain('profile "nobody"')
      process.env['AWS_PROFILE'] = 'nobody-either'
      expect((await drErrorOf(open({clientConfig: {}}).check())).message).to.contain('profile "nobody-either"')
    })
  })

  it('says that the endpoint has no address', async () => {
    nock('https://no-such-host.example').get(bucket).query(true).times(2).replyWithError(Object.assign(new Error('getaddrinfo ENOTFOUND no-such-host.example'), {code: 'ENOTFOUND'}))
    const error = await drErrorOf(open({endpoint: 'https://no-such-host.example'}).check())
    expect(error.code).to.equal('storage.unreachable')
    expect(error.message).to.contain('has no address (DNS)')
  })

  it('says that a certificate is not accepted', async () => {
    list().replyWithError(Object.assign(new Error('self-signed certificate'), {code: 'DEPTH_ZERO_SELF_SIGNED_CERT'}))
    const error = await drErrorOf(open().check())
    expect(error.message).to.contain('self-signed certificate')
    expect(error.hints.join()).to.contain('NODE_EXTRA_CA_CERTS')
  })
})
