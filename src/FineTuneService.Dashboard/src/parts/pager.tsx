import type { Page } from '../api';

/** Leads to older rows of a list, and back to the newest. */
export function Pager({ page, after, go }: { page?: Page<unknown> | undefined; after: string; go: (after: string) => void }) {
  return (
    <div class="pages">
      {after && <button onClick={() => go('')}>Newest</button>}
      {page?.has_more && <button onClick={() => go(page.next_after ?? '')}>Older</button>}
    </div>
  );
}
