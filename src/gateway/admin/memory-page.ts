import { getHeapStatistics } from "node:v8";
import { jsonPage, type Page } from "../../http-server.ts";

/** `/memory`, in bytes: V8's heap in the place of an allocator's. */
export function memoryPage(): Page {
  const { rss, external } = process.memoryUsage();
  const heap = getHeapStatistics();
  return jsonPage({
    allocated: String(heap.used_heap_size + external),
    heap_size: String(heap.total_heap_size + external),
    pageheap_unmapped: "0",
    pageheap_free: String(heap.total_available_size),
    total_thread_cache: "0",
    total_physical_bytes: String(rss),
  });
}
