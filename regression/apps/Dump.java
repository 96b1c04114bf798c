// SPDX-License-Identifier: MIT
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.locks.ReentrantLock;

// A program with many threads, some in system calls, some waiting for a lock, some computing; it asks itself for stack
// traces.  With "quit" it waits for SIGQUIT, whose thread dump a script looks at.
public class Dump {
    static final ReentrantLock lock = new ReentrantLock();
    static final Object monitor = new Object();
    static volatile boolean stop;
    static volatile long work;

    static void computing() {
        while (!stop)
            work++;
    }

    static void sleeping() {
        try {
            Thread.sleep(100000);
        } catch (InterruptedException e) {
        }
    }

    static void reading() {
        try {
            while (!stop)
                Files.readAllBytes(Path.of("/etc/passwd"));
        } catch (Exception e) {
            throw new RuntimeException(e);
        }
    }

    static void blocked() {
        synchronized (monitor) {
            work++;
        }
    }

    static void start(String name, Runnable body) {
        Thread thread = new Thread(body, name);
        thread.setDaemon(true);
        thread.start();
    }

    static int depth(int n) {
        return n == 0 ? ((Object) null).hashCode() : depth(n - 1) + 1;
    }

    static boolean seen(String name, String method) {
        for (var entry : Thread.getAllStackTraces().entrySet())
            if (entry.getKey().getName().equals(name))
                for (StackTraceElement element : entry.getValue())
                    if (element.getMethodName().equals(method))
                        return true;
        return false;
    }

    public static void main(String[] arguments) throws Exception {
        int frames = 0;
        for (int i = 0; i < 2000; i++) {
            try {
                depth(20); // a fault, taken as a signal, becomes an exception
            } catch (NullPointerException e) {
                int length = e.getStackTrace().length;
                frames += length >= 21 || length == 0 ? 1 : 0; // compiled code throws one without a trace, in the end
            }
        }
        System.out.println("null dereferences: " + frames);
        synchronized (monitor) {
            start("computes", Dump::computing);
            start("sleeps", Dump::sleeping);
            start("reads", Dump::reading);
            start("is blocked", Dump::blocked);
            String[][] wanted = {
                {"computes", "computing"}, {"sleeps", "sleeping"}, {"reads", "reading"}, {"is blocked", "blocked"}};
            for (String[] pair : wanted) {
                boolean found = false;
                for (int i = 0; i < 500 && !found; i++, Thread.sleep(10))
                    found = seen(pair[0], pair[1]);
                System.out.println(pair[0] + ": " + found);
            }
            if (arguments.length > 0) {
                System.out.println("ready");
                Thread.sleep(100000);
            }
        }
        stop = true;
        for (int i = 0; i < 5; i++)
            System.gc();
        Process child = new ProcessBuilder("/bin/echo", "from a child").start();
        System.out.println("child: " + new String(child.getInputStream().readAllBytes()).trim() + " " + child.waitFor());
    }
}
