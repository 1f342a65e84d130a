// A program as C++ applications have it. The wheel has no header, so what is used of the client is declared here.
//
//     cpp_api MODEL SCRIPT
#include <exception>
#include <iostream>
#include <string>
#include <string_view>
#include <vector>

enum SRTensorType { SRTensorTypeFloat = 2 };
enum SRMemoryLayout { SRMemLayoutContiguous = 2 };

namespace SmartRedis {
class Client {
  public:
    explicit Client(const char *logger);
    ~Client();
    void put_tensor(const std::string &name, const void *data, const std::vector<size_t> &dims, SRTensorType type,
                    SRMemoryLayout layout);
    void unpack_tensor(const std::string &name, void *data, const std::vector<size_t> &dims, SRTensorType type,
                       SRMemoryLayout layout);
    void set_model_from_file(const std::string &name, const std::string &file, const std::string &backend,
                             const std::string &device, int batch_size, int min_batch_size, int min_batch_timeout,
                             const std::string &tag, const std::vector<std::string> &inputs,
                             const std::vector<std::string> &outputs);
    void run_model(const std::string &name, std::vector<std::string> inputs, std::vector<std::string> outputs);
    void set_script_from_file(const std::string &name, const std::string &device, const std::string &file);
    void run_script(const std::string &name, const std::string &function, std::vector<std::string> inputs,
                    std::vector<std::string> outputs);

  private:
    alignas(16) char state[4096]; // more than it needs
};
} // namespace SmartRedis

static void show(SmartRedis::Client &client, const std::string &name) {
    std::vector<float> values(8);
    client.unpack_tensor(name, values.data(), {values.size()}, SRTensorTypeFloat, SRMemLayoutContiguous);
    std::cout << name << ":";
    for (const float value : values) std::cout << " " << value;
    std::cout << "\n";
}

int main(int, char **argv) {
    try {
        SmartRedis::Client client("test");
        const std::vector<float> x{1, 2, 3, 4, 5, 6, 7, 8};
        client.put_tensor("x", x.data(), {2, 4}, SRTensorTypeFloat, SRMemLayoutContiguous);
        client.set_model_from_file("m", argv[1], "TORCH", "CPU", 0, 0, 0, "", {}, {});
        client.run_model("m", {"x"}, {"y"});
        client.set_script_from_file("s", "CPU", argv[2]);
        client.run_script("s", "double", {"x"}, {"z"});
        show(client, "x");
        show(client, "y");
        show(client, "z");
        client.run_model("missing", {"x"}, {"y"});
    } catch (const std::exception &error) {
        std::cout << error.what() << "\n";
    }
}
