export {default} from '../../../../src/commands/resume.ts'
