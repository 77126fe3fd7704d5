import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.util.ArrayList;
import java.util.List;

/**
 * Collects garbage as often as each line of standard input says. Prints for each collection when it began and ended
 * (Unix ms) and how long it took (ns), as the application sees it.
 */
public class Stops {
    public static void main(String[] arguments) throws Exception {
        List<Object> live = new ArrayList<>();
        for (int number = 0; number < 100_000; number++) {
            live.add(new byte[32]);
        }
        BufferedReader input = new BufferedReader(new InputStreamReader(System.in));
        for (String line = input.readLine(); line != null; line = input.readLine()) {
            for (int left = Integer.parseInt(line); left > 0; left--) {
                long beginMs = System.currentTimeMillis();
                long begin = System.nanoTime();
                System.gc();
                long took = System.nanoTime() - begin;
                System.out.println(beginMs + " " + System.currentTimeMillis() + " " + took);
            }
        }
        System.out.println(live.size());
    }
}
