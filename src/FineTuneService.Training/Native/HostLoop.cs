using System.Buffers;
using System.Runtime.InteropServices;
using static TorchSharp.torch;

namespace FineTuneService.Training.Native;

/// <summary>
/// Loops in C# over the numbers of tensors on the host, on the threads of libtorch's own loops. .NET's threads would contend with those for the cores, because they wait for the next loop with a busy core.
/// </summary>
internal static unsafe partial class HostLoop
{
    /// <summary>Numbers in a block: long enough for what a core fetches ahead.</summary>
    public const int Block = 1 << 17;

    /// <summary>Numbers of fp32 in the vectors that the loops are written with.</summary>
    public const int Lanes = 16;

    // libgomp's manual, "Implementing PARALLEL construct": calls a function on every thread of the team, whose size 0 leaves to OpenMP.
    private static readonly delegate* unmanaged<delegate* unmanaged<Loop*, void>, Loop*, uint, uint, void> Parallel =
        (delegate* unmanaged<delegate* unmanaged<Loop*, void>, Loop*, uint, uint, void>)LoadedLibrary.Export("libtorch_cpu.so", "GOMP_parallel");

    /// <summary>Where the numbers of a contiguous tensor begin, as long as it lives.</summary>
    public static T* Address<T>(Tensor tensor) where T : unmanaged => (T*)Data(tensor.Handle);

    public static bool IsPlain(Tensor tensor) => Is(ScalarType.Float32, tensor);

    public static bool IsBf16(Tensor tensor) => Is(ScalarType.BFloat16, tensor);

    /// <summary>How many blocks so many numbers make.</summary>
    public static int Blocks(long numbers) => checked((int)((numbers + Block - 1) / Block));

    /// <summary>Calls <paramref name="body"/> for each block of each tensor, in any order and several at a time. It must not throw.</summary>
    /// <param name="numbers">Of each tensor.</param>
    /// <param name="body">Gets <paramref name="work"/>, which tensor, which of all blocks, the block's place in the tensor, and how many numbers are in it.</param>
    public static void Run(ReadOnlySpan<long> numbers, delegate*<void*, int, int, long, int, void> body, void* work)
    {
        var ends = ArrayPool<int>.Shared.Rent(numbers.Length); // of the tensors, in blocks
        var blocks = 0;
        for (var i = 0; i < numbers.Length; i++)
            ends[i] = blocks += Blocks(numbers[i]);
        fixed (int* end = ends)
        fixed (long* number = numbers)
        {
            var loop = new Loop { Body = body, Work = work, Numbers = number, Ends = end, Blocks = blocks };
            if (Parallel is null || blocks == 1)
                TakeBlocks(&loop);
            else
                Parallel(&Join, &loop, 0, 0);
        }
        ArrayPool<int>.Shared.Return(ends);
    }

    [UnmanagedCallersOnly]
    private static void Join(Loop* loop) => TakeBlocks(loop);

    private static void TakeBlocks(Loop* loop)
    {
        var tensor = 0;
        for (int block; (block = Interlocked.Increment(ref loop->Taken) - 1) < loop->Blocks;)
        {
            while (loop->Ends[tensor] <= block) // A thread's blocks come in order.
                tensor++;
            var from = (block - (tensor == 0 ? 0L : loop->Ends[tensor - 1])) * Block;
            loop->Body(loop->Work, tensor, block, from, (int)Math.Min(Block, loop->Numbers[tensor] - from));
        }
    }

    private static bool Is(ScalarType type, Tensor tensor) => tensor.device_type == DeviceType.CPU && tensor.dtype == type && tensor.is_contiguous();

    [LibraryImport("LibTorchSharp", EntryPoint = "THSTensor_data")]
    private static partial void* Data(nint tensor);

    private struct Loop
    {
        public delegate*<void*, int, int, long, int, void> Body;
        public void* Work;
        public long* Numbers;
        public int* Ends;
        public int Blocks, Taken;
    }
}
