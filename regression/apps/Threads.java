// SPDX-License-Identifier: MIT
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.*;
import java.util.concurrent.atomic.AtomicLong;
import java.util.concurrent.locks.ReentrantReadWriteLock;
import java.util.stream.LongStream;

// Threads in all of Java's ways, amid collections that stop them all: what they compute comes out right.
public class Threads {
    static long shared;
    static int turn;

    static long garbage(int seed) {
        List<byte[]> kept = new ArrayList<>();
        for (int i = 0; i < 2000; i++)
            if (i % 10 == seed % 10)
                kept.add(new byte[1000]);
            else
                shared += new byte[1000].length / 2000; // allocates, adds nothing
        return kept.size();
    }

    static void passing() throws Exception {
        final Object monitor = new Object();
        Thread[] threads = new Thread[8];
        for (int i = 0; i < threads.length; i++) {
            final int place = i;
            threads[i] = new Thread(() -> {
                for (int round = 0; round < 200; round++)
                    synchronized (monitor) {
                        while (turn % 8 != place)
                            try {
                                monitor.wait();
                            } catch (InterruptedException e) {
                                return;
                            }
                        turn++;
                        monitor.notifyAll();
                    }
            });
            threads[i].start();
        }
        for (Thread thread : threads)
            thread.join();
        System.out.println("passed: " + turn);
    }

    static void locking(ExecutorService pool) throws Exception {
        ReentrantReadWriteLock lock = new ReentrantReadWriteLock();
        ConcurrentHashMap<Integer, Long> map = new ConcurrentHashMap<>();
        AtomicLong total = new AtomicLong();
        long[] guarded = {0};
        List<Future<?>> all = new ArrayList<>();
        for (int i = 0; i < 16; i++)
            all.add(pool.submit(() -> {
                for (int n = 0; n < 5000; n++) {
                    lock.writeLock().lock();
                    guarded[0]++;
                    lock.writeLock().unlock();
                    map.merge(n % 100, 1L, Long::sum);
                    total.incrementAndGet();
                }
            }));
        for (Future<?> each : all)
            each.get();
        System.out.println("locked: " + guarded[0] + " " + total + " " + map.values().stream().mapToLong(x -> x).sum());
    }

    public static void main(String[] arguments) throws Exception {
        ExecutorService pool = Executors.newFixedThreadPool(16);
        List<Future<Long>> kept = new ArrayList<>();
        for (int i = 0; i < 32; i++) {
            final int seed = i;
            kept.add(pool.submit(() -> garbage(seed)));
        }
        locking(pool);
        long sum = 0;
        for (Future<Long> each : kept)
            sum += each.get();
        System.out.println("kept: " + sum);
        passing();
        System.out.println("parallel: " + LongStream.range(0, 2000000).parallel().map(x -> x * x % 7).sum());
        ScheduledExecutorService timer = Executors.newScheduledThreadPool(2);
        CountDownLatch ticks = new CountDownLatch(20);
        timer.scheduleAtFixedRate(ticks::countDown, 1, 2, TimeUnit.MILLISECONDS);
        System.out.println("ticks: " + ticks.await(30, TimeUnit.SECONDS));
        timer.shutdownNow();
        List<Future<Integer>> children = new ArrayList<>();
        for (int i = 0; i < 4; i++) {
            final int code = i;
            children.add(pool.submit(() -> new ProcessBuilder("/bin/sh", "-c", "exit " + code).start().waitFor()));
        }
        for (Future<Integer> child : children)
            System.out.println("child: " + child.get());
        Thread sleeper = new Thread(() -> {
            try {
                Thread.sleep(100000);
            } catch (InterruptedException e) {
                System.out.println("interrupted");
            }
        });
        sleeper.start();
        sleeper.interrupt();
        sleeper.join();
        pool.shutdown();
        System.out.println("ended: " + pool.awaitTermination(30, TimeUnit.SECONDS));
    }
}
