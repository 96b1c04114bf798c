// SPDX-License-Identifier: MIT
import java.nio.file.Files;
import java.nio.file.Path;

// Many file calls from several threads.
public class Calls {
    public static void main(String[] arguments) throws Exception {
        Thread[] threads = new Thread[4];
        for (int t = 0; t < threads.length; t++) {
            threads[t] = new Thread(() -> {
                try {
                    for (int i = 0; i < 2000; i++) {
                        Files.readAllBytes(Path.of("/etc/passwd"));
                        Files.exists(Path.of("/no/" + i));
                    }
                } catch (Exception e) {
                    throw new RuntimeException(e);
                }
            });
            threads[t].start();
        }
        for (Thread thread : threads)
            thread.join();
        System.out.println("done");
    }
}
