import preact from '@preact/preset-vite';
import { defineConfig } from 'vite';

export default defineConfig({
  plugins: [preact()],
  build: { outDir: '../../artifacts/dashboard', emptyOutDir: true, target: 'es2022' },
  // `npm run dev` serves the pages; all else is asked of a running service.
  server: { proxy: Object.fromEntries(['/session', '/me', '/jobs', '/datasets', '/base-models', '/workers'].map(path => [path, 'http://127.0.0.1:5080'])) },
});
