using FineTuneService.Training.Checkpoints;
using FineTuneService.Training.Models.Layers;
using TorchSharp;
using static TorchSharp.torch;

namespace FineTuneService.Training.Tests.Models;

public sealed class Nf4MatrixTests : IDisposable
{
    private readonly DisposeScope _scope = NewDisposeScope();
    private readonly Generator _generator = new(7);

    public void Dispose()
    {
        _generator.Dispose();
        _scope.Dispose();
    }

    /// <summary>One block and a half, many, and more than a thread takes at a time.</summary>
    [Theory]
    [InlineData(7, 13)]
    [InlineData(64, 96)]
    [InlineData(700, 301)]
    public void Each_value_gets_the_nearest_code_of_its_block_and_becomes_that_times_its_magnitude(long rows, long columns)
    {
        var matrix = randn([rows, columns], generator: _generator);
        using var packed = Nf4Matrix.Quantize(matrix, doubleQuant: false);

        var bytes = packed.Stored.First().data<byte>().ToArray();
        var unpacked = packed.Dequantize();
        var (back, magnitudes) = (unpacked.data<float>().ToArray(), packed.Stored.Last().data<float>().ToArray());
        Assert.Equal(unpacked.to(ScalarType.BFloat16), packed.Dequantize(ScalarType.BFloat16));
        Assert.Equal(unpacked.to(ScalarType.Float16), packed.Dequantize(ScalarType.Float16));
        var values = matrix.data<float>().ToArray();
        foreach (var (block, start) in values.Chunk(Nf4Matrix.BlockSize).Select((block, index) => (block, index * Nf4Matrix.BlockSize)))
        {
            Assert.Equal(block.Max(Math.Abs), magnitudes[start / Nf4Matrix.BlockSize]);
            var scale = 1 / magnitudes[start / Nf4Matrix.BlockSize];
            for (var i = 0; i < block.Length; i++)
            {
                var nearest = Enumerable.Range(0, 16).MinBy(code => Math.Abs(Nf4Codes.NormalFloat[code] - block[i] * scale));
                var pair = bytes[(start + i) / 2];
                Assert.Equal(nearest, i % 2 == 0 ? pair >> 4 : pair & 15);
                Assert.Equal(Nf4Codes.NormalFloat[nearest] * magnitudes[start / Nf4Matrix.BlockSize], back[start + i]);
            }
        }
    }

    /// <summary>The error is what integration over the distribution of a block of 64 normal numbers gives, and the size 4 + 8/64 + 32/(64 · 256) bits.</summary>
    [Fact]
    public void A_large_normal_matrix_loses_what_theory_says()
    {
        const int Size = 4096;
        var matrix = randn([Size, Size], generator: _generator);
        using var plain = Nf4Matrix.Quantize(matrix, doubleQuant: false);
        using var nested = Nf4Matrix.Quantize(matrix, doubleQuant: true);

        var expected = ExpectedError();
        Assert.Equal(1, Error(plain) / expected, 0.01);
        Assert.Equal(1, Error(nested) / expected, 0.01);
        Assert.Equal(4 + 32.0 / 64, 8.0 * plain.Bytes / plain.Count, 1e-9);
        Assert.Equal(4.127, 8.0 * nested.Bytes / nested.Count, 5e-4);

        double Error(Nf4Matrix packed) => (packed.Dequantize() - matrix).square().mean().sqrt().ToDouble();
    }

    [Theory]
    [InlineData(5, 7, false)]
    [InlineData(5, 7, true)]
    [InlineData(130, 100, true)]
    [InlineData(33, 64, true)]
    public void Any_shape_survives_and_a_second_rounding_changes_nothing(long rows, long columns, bool doubleQuant)
    {
        var matrix = randn([rows, columns], generator: _generator);
        using var packed = Nf4Matrix.Quantize(matrix, doubleQuant);
        var once = packed.Dequantize();
        Assert.Equal([rows, columns], once.shape);
        Assert.True((once - matrix).abs().max().ToDouble() < 0.16 * matrix.abs().max().ToDouble());
        using var again = Nf4Matrix.Quantize(once, doubleQuant: false);
        Assert.True((again.Dequantize() - once).abs().max().ToDouble() < 1e-6);
    }

    [Fact]
    public void A_block_of_zeros_stays_zero()
    {
        using var packed = Nf4Matrix.Quantize(zeros(2, 64), doubleQuant: false);
        Assert.Equal(0, packed.Dequantize().abs().max().ToDouble());
    }

    [Theory]
    [InlineData(ScalarType.Float32)]
    [InlineData(ScalarType.BFloat16)]
    public void Its_gradient_is_that_of_the_unpacked_matrix(ScalarType type)
    {
        using var packed = Nf4Matrix.Quantize(randn([48, 64], generator: _generator), doubleQuant: true);
        var (input, weights) = (randn([3, 5, 64], generator: _generator), randn([3, 5, 48], generator: _generator));
        var here = input.clone().requires_grad_();
        var there = input.clone().requires_grad_();

        var product = packed.Multiply(here, type);
        (product * weights).sum().backward();
        var expected = nn.functional.linear(there.to(type), packed.Dequantize(type)).to(ScalarType.Float32);
        (expected * weights).sum().backward();

        Assert.Equal(0, (product - expected).abs().max().ToDouble());
        Assert.Equal(0, (here.grad! - there.grad!).abs().max().ToDouble());
        Assert.Equal(0, (packed.Multiply(input, type) - expected).abs().max().ToDouble()); // without gradient
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void It_is_written_and_read_as_bitsandbytes_lays_it_out(bool doubleQuant)
    {
        using var packed = Nf4Matrix.Quantize(randn([130, 100], generator: _generator), doubleQuant);
        var folder = Directory.CreateTempSubdirectory("finetune-nf4-");
        try
        {
            var path = Path.Combine(folder.FullName, "model.safetensors");
            SafetensorsWriter.Write(path, Nf4File.Tensors("layer.weight", packed));
            using var reader = SafetensorsReader.Open(path);
            string[] names = ["layer.weight", "layer.weight.absmax", "layer.weight.quant_map", "layer.weight.quant_state.bitsandbytes__nf4"];
            string[] nested = doubleQuant ? ["layer.weight.nested_absmax", "layer.weight.nested_quant_map"] : [];
            Assert.Equal(names.Concat(nested).Order(), reader.Entries.Keys.Order());
            Assert.Equal([6500, 1], reader.Entries["layer.weight"].Shape);
            Assert.Equal([130, 100], Nf4File.ShapeOf(reader, "layer.weight")!);
            using var read = Nf4File.Read(reader, "layer.weight");
            Assert.True(read.Dequantize().Equals(packed.Dequantize()));
        }
        finally
        {
            folder.Delete(recursive: true);
        }
    }

    /// <summary>
    /// Root of the mean squared error for blocks of 64 numbers of N(0, 1). The largest magnitude m has the density 64 · 2φ(m) · (2Φ(m) − 1)⁶³ and is itself
    /// kept; the other 63 are normal within (−m, m).
    /// </summary>
    private static double ExpectedError()
    {
        const int Block = Nf4Matrix.BlockSize;
        const double Step = 0.002;
        static double Density(double x) => Math.Exp(-x * x / 2) / Math.Sqrt(2 * Math.PI);
        double sum = 0, total = 0, half = 0; // half: Φ(m) − 1/2, by the midpoint rule
        for (var low = 0.0; low < 6; low += Step)
        {
            var m = low + Step / 2;
            half += Density(m) * Step;
            var weight = Block * 2 * Density(m) * Math.Pow(2 * half, Block - 1) * Step;
            if (weight < 1e-12)
                continue;
            double within = 0, mass = 0;
            for (var x = -m + Step / 2; x < m; x += Step)
            {
                var error = Nf4Codes.NormalFloat.Min(code => Math.Abs(code * m - x));
                within += Density(x) * error * error;
                mass += Density(x);
            }
            sum += weight * (Block - 1.0) / Block * within / mass;
            total += weight;
        }
        return Math.Sqrt(sum / total);
    }
}
