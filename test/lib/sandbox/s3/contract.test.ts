import {s3ForTests, s3ServerContract} from '../../../support/s3.ts'

s3ServerContract('the sandbox', async () => {
  const {endpoint, region, credentials, close} = await s3ForTests()
  return {endpoint, region, ...credentials, close}
})
